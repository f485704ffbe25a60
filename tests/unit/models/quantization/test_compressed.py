from __future__ import annotations

from typing import Any

import pytest

from shipfit.models import Format, Quantization
from tests.unit.models.quantization.sections import (
    EIGHT,
    FP8,
    FP8_BLOCK,
    FP8_CHANNEL,
    INT4,
    INT8,
    MXFP4,
    NVFP4,
    assert_every_matrix,
    compressed,
    facts_of,
    formats,
)


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
    ],
)
def test_what_it_says_of_every_matrix(
    section: dict[str, Any], format_: Format, quantization: Quantization
) -> None:
    assert_every_matrix(section, format_, quantization)


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
