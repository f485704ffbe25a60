"""Parameter counts are those that the models' publishers state, to the last one."""

from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.models import ModelFacts, load_facts
from shipfit.models.architectures import read_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}


def read(**changes: object) -> ModelFacts:
    config = {key: value for key, value in (LLAMA | changes).items() if value is not ...}
    return read_config(config, "m", "config.json")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
        ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("google/gemma-2-9b-it", 9_241_705_984),
        ("bundled:gemma-3-270m", 268_098_176),
    ],
)
def test_parameters_are_exact(name: str, parameters: int) -> None:
    assert parameters == load_facts(name).parameters


def test_a_token_passes_through_its_own_experts_only() -> None:
    facts = load_facts("Qwen/Qwen3-30B-A3B")
    assert facts.experts is not None
    assert (128, 8, 768) == (facts.experts.count, facts.experts.per_token, facts.experts.intermediate)
    assert 3.0e9 < facts.active_parameters < 3.4e9  # "A3B"


def test_windows_of_gemma_follow_its_pattern() -> None:
    facts = load_facts("bundled:gemma-3-270m")
    assert (512, 15, 18) == (facts.sliding_window, facts.sliding_layers, facts.layers)
    assert load_facts("google/gemma-2-9b-it").sliding_layers == 21


def test_mistral_looks_back_a_window_in_every_layer_only_where_it_says_so() -> None:
    assert read(architectures=["MistralForCausalLM"], sliding_window=4096).sliding_layers == 32
    assert read(architectures=["MistralForCausalLM"], sliding_window=None).sliding_layers == 0
    assert read(architectures=["LlamaForCausalLM"], sliding_window=4096).sliding_layers == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["BambaForCausalLM"]}, "does not know the architecture BambaForCausalLM"),
        ({"architectures": ...}, "architectures is missing"),
        ({"architectures": []}, "architectures is missing"),
        ({"num_hidden_layers": ...}, "config.json: num_hidden_layers: is missing"),
        ({"num_hidden_layers": -1}, "num_hidden_layers: is -1, not a positive number"),
        ({"hidden_size": "4096"}, "hidden_size: is '4096'"),
        ({"vocab_size": 2**70}, "vocab_size: is"),
        ({"vocab_size": True}, "vocab_size: is True"),
        ({"num_attention_heads": 33}, "num_attention_heads (33) does not divide"),
        ({"num_key_value_heads": 5}, "num_key_value_heads: is 5, which does not divide the 32 heads"),
        ({"torch_dtype": "int3"}, "torch_dtype: is 'int3'"),
        ({"quantization_config": {"bits": 4}}, "quantization_config: has no quant_method"),
        (
            {"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4, "num_experts_per_tok": 8,
             "moe_intermediate_size": 64},
            "num_experts_per_tok: is 8, of 4 experts",
        ),
        (
            {"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4, "num_experts_per_tok": 2,
             "moe_intermediate_size": 64, "decoder_sparse_step": 2},
            "decoder_sparse_step: is 2",
        ),
        (
            {"architectures": ["Gemma3ForCausalLM"], "sliding_window": 512, "layer_types": ["full_attention"]},
            "layer_types: lists 1 layers, not 32",
        ),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_in_one_line(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(**changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "precision"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-w8a8"),
        ({"quant_method": "gptq", "bits": 4}, "gptq-w4a16"),
        ({"quant_method": "gptq", "bits": 3}, None),
        ({"quant_method": "awq", "bits": 4}, "awq-w4a16"),
        ({"quant_method": "mxfp4"}, None),
        (
            {"quant_method": "compressed-tensors",
             "config_groups": {"group_0": {"weights": {"type": "int", "num_bits": 4, "symmetric": False}}}},
            "awq-w4a16",
        ),
        (
            {"quant_method": "compressed-tensors",
             "config_groups": {"group_0": {"weights": {"type": "int", "num_bits": 8},
                                           "input_activations": {"num_bits": 8}}}},
            "int8-w8a8",
        ),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, None),
    ],
)  # fmt: skip
def test_a_quantized_checkpoint_says_its_precision(section: dict[str, object], precision: str | None) -> None:
    quantization = read(quantization_config=section).quantization
    assert quantization is not None
    assert precision == quantization.precision
