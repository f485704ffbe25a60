from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from shipfit.models import Format, ModelFacts, Quantization
from shipfit.models.architectures import read_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 512,
    "vocab_size": 320,
    "max_position_embeddings": 128,
    "torch_dtype": "bfloat16",
}
MIXTURE = LLAMA | {
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "decoder_sparse_step": 1,
    "head_dim": 64,
}
FP8 = Format(8, scale_bytes=4)
FP8_CHANNEL = Format(8, group=-1, scale_bytes=4)
FP8_BLOCK = Format(8, group=128, scale_bytes=4, block_rows=128)
INT4 = Format(4, group=128, scale_bytes=2)
NVFP4 = Format(4, group=16, scale_bytes=1)
MXFP4 = Format(4, group=32, scale_bytes=1)
MXFP8 = Format(8, group=32, scale_bytes=1)
MATRICES = (
    "attention.query",
    "attention.key_value",
    "attention.output",
    "feed_forward.gate_up",
    "feed_forward.down",
)


def facts_of(quantization: Any, base: dict[str, Any] = LLAMA) -> ModelFacts:
    return read_config(base | {"quantization_config": quantization}, "x", "config.json")


def formats(facts: ModelFacts) -> dict[str, dict[Format | None, int]]:
    """Of each kind of weight, how many layers (1 outside of them) have which format."""
    found: dict[str, dict[Format | None, int]] = {}
    for weight in facts.weights:
        if weight.columns > 1:
            kinds = found.setdefault(weight.name, {})
            kinds[weight.format] = kinds.get(weight.format, 0) + (len(weight.layers) or 1)
    return found


def compressed(
    weights: dict[str, Any], activations: dict[str, Any] | None = None, **others: Any
) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    } | others


EIGHT = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}
INT8 = {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}


@pytest.mark.parametrize(
    ("section", "format_", "quantization"),
    [
        (
            compressed({"num_bits": 8, "type": "float", "strategy": "channel"}, EIGHT),
            FP8_CHANNEL,
            Quantization("compressed-tensors", "fp8-w8a8", group=-1),
        ),
        (
            compressed({"num_bits": 8, "type": "float", "strategy": "tensor"}, EIGHT),
            FP8,
            Quantization("compressed-tensors", "fp8-w8a8"),
        ),
        (
            compressed(
                {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]}, EIGHT
            ),
            FP8_BLOCK,
            Quantization("compressed-tensors", "fp8-block", group=128),
        ),
        (
            compressed(
                {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": "128x128"}, EIGHT
            ),
            FP8_BLOCK,
            Quantization("compressed-tensors", "fp8-block", group=128),
        ),
        (
            compressed({"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True}, INT8),
            Format(8, group=-1, scale_bytes=4),
            Quantization("compressed-tensors", "int8-w8a8", group=-1),
        ),
        (
            compressed(
                {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True}
            ),
            INT4,
            Quantization("compressed-tensors", "gptq-w4a16", group=128),
        ),
        (
            compressed(
                {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": False}
            ),
            Format(4, group=32, scale_bytes=2, zero_bits=4),
            Quantization("compressed-tensors", "awq-w4a16", group=32, symmetric=False),
        ),
        (
            compressed({"num_bits": 4, "type": "int", "strategy": "channel", "group_size": None}),
            Format(4, group=-1, scale_bytes=2),
            Quantization("compressed-tensors", "gptq-w4a16", group=-1),
        ),
        (
            compressed({"num_bits": 4, "type": "int", "group_size": 128, "actorder": "group"}),
            Format(4, group=128, scale_bytes=2, index_bytes=8),
            Quantization("compressed-tensors", "gptq-w4a16", group=128, act_order=True),
        ),
        (
            compressed(
                {"num_bits": 4, "type": "int", "group_size": 128, "actorder": "static"}
            ),  # reorders nothing
            INT4,
            Quantization("compressed-tensors", "gptq-w4a16", group=128),
        ),
        (
            compressed({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}, INT8),
            INT4,
            Quantization("compressed-tensors", None, group=128),
        ),
        (
            compressed({"num_bits": 8, "type": "int", "strategy": "channel"}),
            Format(8, group=-1, scale_bytes=2),
            Quantization("compressed-tensors", "int8-w8a16", group=-1),
        ),
        (
            compressed(
                {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
                {"num_bits": 4, "type": "float", "group_size": 16},
                kv_cache_scheme={"num_bits": 8, "type": "float"},
            ),
            NVFP4,
            Quantization("compressed-tensors", "nvfp4", group=16, kv_cache="fp8"),
        ),
        (
            compressed({"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32}),
            MXFP4,
            Quantization("compressed-tensors", "mxfp4", group=32),
        ),
        ({"quant_method": "fp8", "activation_scheme": "static"}, FP8, Quantization("fp8", "fp8-w8a8")),
        (
            {"quant_method": "fp8", "weight_block_size": [128, 128]},
            FP8_BLOCK,
            Quantization("fp8", "fp8-block", group=128),
        ),
        ({"quant_method": "fbgemm_fp8"}, FP8_CHANNEL, Quantization("fbgemm_fp8", "fp8-w8a8", group=-1)),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True},
            Format(4, group=128, scale_bytes=2, index_bytes=8),
            Quantization("gptq", "gptq-w4a16", group=128, act_order=True),
        ),
        (
            {"quant_method": "gptq", "bits": 8, "group_size": -1, "desc_act": True},
            Format(8, group=-1, scale_bytes=2),  # one group for the row: nothing to reorder
            Quantization("gptq", "int8-w8a16", group=-1),
        ),
        (
            {"quant_method": "gptq", "bits": 3, "group_size": 64},
            Format(3.2, group=64, scale_bytes=2),  # ten in 32 bits
            Quantization("gptq", None, group=64),
        ),
        (
            {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
            Format(4, group=128, scale_bytes=2, zero_bits=4),
            Quantization("awq", "awq-w4a16", group=128, symmetric=False),
        ),
        (
            {"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True},
            INT4,
            Quantization("auto-round", "gptq-w4a16", group=128),
        ),
        (
            {"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "mx_fp4", "sym": True},
            MXFP4,
            Quantization("auto-round", "mxfp4", group=32),
        ),
        (
            {
                "quant_method": "auto-round",
                "bits": 8,
                "group_size": [128, 128],
                "data_type": "fp",
                "sym": True,
            },
            FP8_BLOCK,
            Quantization("auto-round", "fp8-block", group=128),
        ),
        ({"quant_method": "mxfp8"}, MXFP8, Quantization("mxfp8", None, group=32)),
        (
            {"quant_algo": "FP8", "kv_cache_scheme": "FP8", "producer": {"name": "modelopt"}},
            FP8,
            Quantization("modelopt", "fp8-w8a8", kv_cache="fp8"),
        ),
        (
            {
                "quant_method": "modelopt",
                "quant_algo": "NVFP4",
                "kv_cache_scheme": {"num_bits": 8, "type": "float"},
            },
            NVFP4,
            Quantization("modelopt", "nvfp4", group=16, kv_cache="fp8"),
        ),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "llm_int8_skip_modules": None},
            Format(4, group=64, scale_bytes=4),
            Quantization("bitsandbytes", "bnb-nf4", group=64),
        ),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": False, "load_in_8bit": True},
            Format(8, group=-1, scale_bytes=4),
            Quantization("bitsandbytes", None, group=-1),
        ),
    ],
)
def test_what_a_method_says_of_every_matrix(
    section: dict[str, Any], format_: Format, quantization: Quantization
) -> None:
    facts = facts_of(section)
    assert quantization == facts.quantization
    expected = {name: {format_: 4} for name in MATRICES} | {name: {None: 1} for name in ("embedding", "head")}
    assert expected == formats(facts)


def test_an_unquantized_checkpoint_has_no_formats() -> None:
    facts = facts_of(None)
    assert facts.quantization is None
    assert {None} == {weight.format for weight in facts.weights}


def test_mxfp4_is_of_the_experts_alone() -> None:
    found = formats(facts_of({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, MIXTURE))
    assert {MXFP4: 4} == found["experts.gate_up"] == found["experts.down"]
    assert {None: 4} == found["attention.query"] == found["router"]


def test_experts_may_have_fewer_bits_than_the_rest_of_an_fp8_checkpoint() -> None:
    section = {"quant_method": "fp8", "weight_block_size": [128, 128], "moe_quant_algo": "NVFP4"}
    facts = facts_of(section, MIXTURE)
    assert {NVFP4: 4} == formats(facts)["experts.down"]
    assert {FP8_BLOCK: 4} == formats(facts)["attention.output"]
    assert Quantization("fp8", "nvfp4", group=16) == facts.quantization


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["model.layers.1.mlp.down_proj"], 1),
        (["re:.*layers\\.[02]\\..*down_proj"], 2),
        (["re:.*mlp.*"], 4),
        (["re:(?i).*MLP.*", "re:(?i).*vision.*"], 4),
        (["model.layers.3"], 1),
        (["mlp.down_proj"], 4),
        (["*.down_proj"], 4),
        (["model.layers.*.mlp"], 4),
        (["model.layers.1*"], 1),
        (["model.language_model.layers.0.mlp.down_proj", "model.language_model.layers.2.mlp*"], 2),
        (["model.layers.0.mlp.down_pro", "own_proj", "layers.0.mlp.up_proj", "mtp*", "re:mtp.*"], 0),
    ],
)
def test_modules_that_are_left_out_keep_their_16_bits(ignore: list[str], left: int) -> None:
    expected = {None: left} if left else {}
    for section in (
        compressed({"num_bits": 8, "type": "float", "strategy": "tensor"}, EIGHT, ignore=ignore),
        {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ignore},
        {"quant_method": "fp8", "modules_to_not_convert": ignore},
        {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_skip_modules": ignore},
        {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ignore},
    ):
        facts = facts_of(section)
        found = formats(facts)["feed_forward.down"]
        assert expected == {kind: count for kind, count in found.items() if kind is None}
        assert facts.parameters == facts_of(None).parameters
        layers = [
            layer for weight in facts.weights if weight.name == "feed_forward.down" for layer in weight.layers
        ]
        assert [0, 1, 2, 3] == sorted(layers)


def test_some_matrices_of_a_kind_may_be_left_out() -> None:
    section = {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn.k_proj"]}
    parts = [weight for weight in facts_of(section).weights if weight.name == "attention.key_value"]
    assert [
        (None, (0,), 1, ("self_attn.k_proj",)),
        (FP8, (0,), 1, ("self_attn.v_proj",)),
        (FP8, (1, 2, 3), 2, ("self_attn.k_proj", "self_attn.v_proj")),
    ] == [(part.format, part.layers, part.each, part.modules) for part in parts]


def test_groups_of_compressed_tensors_have_their_own_targets() -> None:
    section = compressed({}) | {
        "config_groups": {
            "group_0": {
                "targets": ["re:.*down_proj$"],
                "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
                "input_activations": EIGHT,
            },
            "group_1": {
                "targets": ["Linear"],
                "weights": {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
            },
            "kv": {"targets": ["LlamaAttention"], "input_activations": EIGHT},
        }
    }
    facts = facts_of(section)
    assert {FP8_CHANNEL: 4} == formats(facts)["feed_forward.down"]
    assert {NVFP4: 4} == formats(facts)["feed_forward.gate_up"]
    assert facts.quantization is not None
    assert facts.quantization.precision == "nvfp4"  # the one with the fewest bits


def test_mixed_precision_of_modelopt_names_each_module() -> None:
    layers = {
        f"model.layers.{n}.self_attn.{name}_proj": {"quant_algo": "FP8"} for n in (0, 1) for name in "qkvo"
    }
    layers |= {f"model.layers.{n}.mlp.experts": {"quant_algo": "NVFP4", "group_size": 16} for n in range(4)}
    facts = facts_of(
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}, MIXTURE
    )
    assert {FP8: 2, None: 2} == formats(facts)["attention.query"]
    assert {NVFP4: 4} == formats(facts)["experts.down"]
    assert facts.quantization is not None
    assert facts.quantization.precision == "nvfp4"


def test_rules_of_gptq_leave_out_and_override() -> None:
    section = {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": 128,
        "lm_head": True,
        "dynamic": {r"-:.*\.3\..*": {}, r"+:.*down_proj": {"bits": 8, "group_size": 32}},
    }
    found = formats(facts_of(section))
    assert {Format(8, group=32, scale_bytes=2): 3, None: 1} == found["feed_forward.down"]
    assert {INT4: 3, None: 1} == found["attention.output"]
    assert {INT4: 1} == found["head"]


def test_exceptions_of_auto_round_are_by_name_and_by_expression() -> None:
    section = {
        "quant_method": "intel/auto-round",
        "bits": 4,
        "group_size": 128,
        "sym": True,
        "block_name_to_quantize": "model.layers",
        "extra_config": {
            "model.layers.0.mlp.down_proj": {"bits": 16},
            r".*\.o_proj": {"bits": 8, "group_size": -1},
        },
    }
    found = formats(facts_of(section))
    assert {INT4: 3, None: 1} == found["feed_forward.down"]
    assert {Format(8, group=-1, scale_bytes=2): 4} == found["attention.output"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("fp8", "quantization_config: is not an object"),
        ({"bits": 4}, "quantization_config: has no quant_method"),
        (
            {"quant_method": "aqlm"},
            "quantization_config.quant_method: shipfit does not know how 'aqlm' stores weights",
        ),
        ({"quant_method": "gptq"}, "quantization_config.bits: is missing"),
        ({"quant_method": "gptq", "bits": 5}, "quantization_config.bits: is 5, not one of 2, 3, 4, 8"),
        (
            {"quant_method": "gptq", "bits": "4"},
            "quantization_config.bits: is '4', not a whole number from -1 to 1,048,576",
        ),
        (
            {"quant_method": "gptq", "bits": 4, "dynamic": {"+:(": {}}},
            "quantization_config.dynamic: has '(', which is no regular expression",
        ),
        (
            {"quant_method": "fp8", "weight_block_size": 128},
            "quantization_config.weight_block_size: is 128, not rows and columns of a block",
        ),
        (
            {"quant_method": "fp8", "weight_block_size": [True, 128]},
            "quantization_config.weight_block_size: is [True, 128], not rows and columns of a block",
        ),
        (
            {"quant_method": "auto-round", "bits": 8, "data_type": "fp8", "group_size": ["a", 1]},
            "quantization_config.group_size: is ['a', 1], not rows and columns of a block",
        ),
        (
            compressed({"num_bits": 8, "type": "float", "strategy": "block", "block_structure": "0x128"}),
            "quantization_config.config_groups.group_0.weights.block_structure: is '0x128', not rows and columns",
        ),
        (
            {"quant_method": "fp8", "ignored_layers": [1]},
            "quantization_config.ignored_layers: is not a list of names",
        ),
        (
            {"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"},
            "quantization_config.quant_algo: is 'W4A8_AWQ', not one of FP8,",
        ),
        (
            {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"},
            "quantization_config.quantized_layers: is missing",
        ),
        (
            {"quant_method": "compressed-tensors"},
            "quantization_config.config_groups: says for no module how it is stored",
        ),
        (
            compressed({"num_bits": 6, "type": "int"}),
            "quantization_config.config_groups.group_0.weights: stores weights as int of 6 bits by tensor",
        ),
        (
            compressed({"num_bits": 8, "type": "float"}, ignore=["re:("]),
            "quantization_config.ignore: '(' is no regular expression",
        ),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": False},
            "quantization_config.load_in_4bit: is false, and so is load_in_8bit",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_its_field(section: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        facts_of(section)
    assert str(caught.value).startswith(f"config.json: {words}")
    assert "\n" not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "bits",
                "group_size",
                "sym",
                "dynamic",
                "ignore",
                "config_groups",
                "quant_algo",
                "weight_block_size",
            ]
        ),
        st.none() | st.integers(-2, 300) | st.text(max_size=4) | st.lists(st.integers(0, 3), max_size=3),
    ),
    st.sampled_from(["fp8", "gptq", "awq", "auto-round", "modelopt", "compressed-tensors", "bitsandbytes"]),
)
def test_whatever_a_section_says_it_is_read_or_refused(section: dict[str, Any], method: str) -> None:
    try:
        facts_of(section | {"quant_method": method})
    except InputError as error:
        assert "\n" not in str(error)


def test_hundreds_of_names_over_many_layers_are_read_at_once() -> None:
    layers = 94
    names = [
        f"model.layers.{n}.{part}*" for n in range(layers) for part in ("self_attn", "mlp.gate", "mlp.shared")
    ]
    section = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "ignore": ["lm_head", "re:.*vision.*", *names],
    }
    begun = time.process_time()
    facts = facts_of(section, MIXTURE | {"num_hidden_layers": layers})
    assert time.process_time() - begun < 0.25  # 6 ms on a laptop
    assert {NVFP4: layers} == formats(facts)["experts.down"]
    assert {None: layers} == formats(facts)["attention.query"]
