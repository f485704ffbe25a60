from __future__ import annotations

import pytest

from shipfit.models import Format, ModelFacts, Weight, catalogue
from shipfit.models.architectures import read_config
from shipfit.models.safetensors import Tensor
from shipfit.models.stored import with_stored
from tests.unit.tiny_llama import CONFIG as LLAMA

MIXTURE = LLAMA | {
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "decoder_sparse_step": 1,
    "head_dim": 16,
}


def bf16(*shape: int) -> Tensor:
    elements = 1
    for length in shape:
        elements *= length
    return Tensor("BF16", elements, 2 * elements)


def checkpoint(facts: ModelFacts, path: str = "model.layers.", outer: str = "") -> dict[str, Tensor]:
    """Every tensor that the facts name, as a checkpoint stores them."""
    tensors = {}
    for weight in facts.weights:
        each = max(1, weight.each // len(weight.modules))
        for module in weight.modules:
            for layer in weight.layers or (None,):
                for number in range(each) if "*" in module else (0,):
                    name = f"{path}{layer}.{module}" if layer is not None else f"{outer}{module}"
                    suffix = "" if name.endswith((".bias", "correction_bias")) else ".weight"
                    tensors[name.replace("*", str(number)) + suffix] = bf16(weight.rows, weight.columns)
    return tensors


def facts_of(config: dict[str, object]) -> ModelFacts:
    return read_config(config, "x", "config.json")


def other(facts: ModelFacts) -> Weight | None:
    return next((weight for weight in facts.weights if weight.name == "other"), None)


@pytest.mark.parametrize(
    ("path", "outer"),
    [
        ("model.layers.", ""),
        ("model.language_model.layers.", ""),
        ("language_model.model.layers.", "language_model."),
        ("backbone.layers.", ""),
        ("transformer.h.", ""),
    ],
)
@pytest.mark.parametrize(
    "config", [LLAMA, MIXTURE, LLAMA | {"tie_word_embeddings": True, "attention_bias": True}]
)
def test_every_tensor_finds_its_weight(config: dict[str, object], path: str, outer: str) -> None:
    facts = facts_of(config)
    found = with_stored(facts, checkpoint(facts, path, outer))
    assert [weight.parameters * 2 for weight in facts.weights] == [weight.stored for weight in found.weights]
    assert found.stored_read


def test_what_no_weight_fits_lies_on_every_gpu_and_is_counted() -> None:
    facts = facts_of(LLAMA)
    tensors = checkpoint(facts) | {"adapter.a.weight": bf16(10), "adapter.b.weight": bf16(20)}
    extra = other(with_stored(facts, tensors))
    assert extra is not None
    assert (60, 2, 0) == (extra.stored, extra.each, extra.rows)


def test_what_engines_do_not_load_does_not_count() -> None:
    facts = facts_of(LLAMA | {"tie_word_embeddings": True})
    tensors = checkpoint(facts)
    more = {
        "lm_head.weight": bf16(320, 64),
        "model.layers.2.self_attn.q_proj.weight": bf16(64, 64),  # the model has two layers
        "mtp.layers.0.mlp.up_proj.weight": bf16(128, 64),
        "model.layers.0.self_attn.rotary_emb.inv_freq": bf16(8),
        "model.layers.0.self_attn.k_scale": bf16(1),
        "model.layers.0.self_attn.k_proj.output_scale": bf16(1),
    }
    assert with_stored(facts, tensors) == with_stored(facts, tensors | more)


def test_a_matrix_that_the_checkpoint_fuses_is_shared_out() -> None:
    facts = facts_of(LLAMA | {"architectures": ["Phi3ForCausalLM"]})
    found = with_stored(facts, {"model.layers.0.self_attn.qkv_proj.weight": bf16(64 + 2 * 32, 64)})
    sizes = {weight.name: weight.stored for weight in found.weights if weight.stored}
    assert {"attention.query": 64 * 64 * 2, "attention.key_value": 2 * 32 * 64 * 2} == sizes


def test_a_checkpoint_in_32_bits_is_served_in_16() -> None:
    facts = facts_of(LLAMA | {"torch_dtype": "float32"})
    tensors = {
        name: Tensor("F32", each.elements, each.elements * 4) for name, each in checkpoint(facts).items()
    }
    assert facts.parameters * 2 == sum(weight.stored or 0 for weight in with_stored(facts, tensors).weights)


def test_a_quantized_matrix_counts_with_its_scales() -> None:
    config = LLAMA | {
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}
    }
    facts = facts_of(config)
    tensors = {
        "model.layers.1.mlp.down_proj.qweight": Tensor("I32", 1024, 4096),
        "model.layers.1.mlp.down_proj.scales": Tensor("F16", 256, 512),
        "model.layers.1.mlp.down_proj.qzeros": Tensor("I32", 32, 128),
    }
    down = next(each for each in with_stored(facts, tensors).weights if each.name == "feed_forward.down")
    assert Format(4, group=32, scale_bytes=2) == down.format
    assert down.stored == 4096 + 512 + 128


def test_names_that_nothing_is_known_of_are_not_counted_twice() -> None:
    """A checkpoint with other names for everything: its bytes are those of the derived weights, not more."""
    facts = facts_of(LLAMA)
    strange = {f"strange.{name}": each for name, each in checkpoint(facts).items()}
    assert other(with_stored(facts, strange)) is None


def test_experts_that_lie_in_one_tensor_find_their_weight() -> None:
    facts = read_config(load_config("openai/gpt-oss-20b"), "x", "config.json")
    tensors = {
        "model.layers.3.mlp.experts.down_proj_blocks": Tensor("U8", 32 * 2880 * 1440, 32 * 2880 * 1440),
        "model.layers.3.mlp.experts.down_proj_scales": Tensor("U8", 32 * 2880 * 90, 32 * 2880 * 90),
        "model.layers.3.mlp.experts.down_proj_bias": bf16(32, 2880),
    }
    sizes = {weight.name: weight.stored for weight in with_stored(facts, tensors).weights if weight.stored}
    assert {"experts.down": 32 * 2880 * (1440 + 90), "experts.down_bias": 32 * 2880 * 2} == sizes


def test_towers_find_their_weights_by_the_part_that_is_named() -> None:
    facts = read_config(load_config("Qwen/Qwen3-VL-4B-Instruct"), "x", "config.json")
    tensors = {
        "model.visual.blocks.7.mlp.linear_fc1.weight": bf16(4096, 1024),
        "model.visual.blocks.7.mlp.linear_fc1.bias": bf16(4096),
        "model.visual.deepstack_merger_list.1.linear_fc1.weight": bf16(64, 64),
    }
    found = with_stored(facts, tensors)
    assert other(found) is None
    assert sum(each.bytes for each in tensors.values()) == pytest.approx(
        sum(w.stored or 0 for w in found.weights), abs=9
    )


def load_config(name: str) -> dict[str, object]:
    entry = catalogue.find(name)
    assert entry is not None
    return entry.config
