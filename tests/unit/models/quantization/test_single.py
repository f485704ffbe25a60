from __future__ import annotations

from typing import Any

import pytest

from shipfit.models import Format, Quantization
from tests.unit.models.quantization.sections import (
    FP8,
    FP8_BLOCK,
    FP8_CHANNEL,
    INT4,
    MIXTURE,
    MXFP4,
    MXFP8,
    NVFP4,
    assert_every_matrix,
    facts_of,
    formats,
)


@pytest.mark.parametrize(
    ("section", "format_", "quantization"),
    [
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
def test_what_it_says_of_every_matrix(
    section: dict[str, Any], format_: Format, quantization: Quantization
) -> None:
    assert_every_matrix(section, format_, quantization)


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
