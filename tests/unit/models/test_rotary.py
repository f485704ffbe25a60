from __future__ import annotations

from typing import Any

import pytest

from shipfit.models import Rotary
from shipfit.models.rotary import read_rotary

MROPE = {"rope_type": "default", "mrope_section": [16, 24, 24]}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [(4096, 128)]),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 512}},
            [(4096, 128)],
        ),
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, [(16384, 128)]),
        (
            {"rope_scaling": {"type": "yarn", "factor": 32.0, "original_max_position_embeddings": 1024}},
            [(32768, 128)],
        ),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}, "qk_rope_head_dim": 64}, [(16384, 64)]),
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 1024}, [(5120, 128)]),
        ({"rope_scaling": MROPE}, [(16384, 128)]),
        ({"partial_rotary_factor": 0.25}, [(4096, 32)]),
        ({"rotary_dim": 64}, [(4096, 64)]),
        (
            {"rope_local_base_freq": 10000, "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
            [(32768, 128), (4096, 128)],
        ),
        (
            {
                "rope_parameters": {
                    "full_attention": {"rope_theta": 1e6, "partial_rotary_factor": 0.5},
                    "sliding_attention": {"rope_theta": 1e4},
                }
            },
            [(4096, 64), (4096, 128)],
        ),
        (
            {"rope_parameters": {"a": {"rope_theta": 1.0}, "b": {"rope_theta": 1.0}}},
            [(4096, 128)],
        ),  # the same one
    ],
)
def test_a_table_reaches_as_far_as_its_kind_says(
    config: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    found = read_rotary({"max_position_embeddings": 4096} | config, "LlamaForCausalLM", 128)
    assert tuple(Rotary(positions, width) for positions, width in expected) == found


def test_some_architectures_have_none() -> None:
    assert read_rotary({"max_position_embeddings": 4096}, "NemotronHForCausalLM", 128) == ()


@pytest.mark.parametrize("scaling", [7, "yarn", [], {"factor": "x"}, {"rope_type": 3, "factor": None}])
def test_odd_fields_leave_the_usual_table(scaling: Any) -> None:
    found = read_rotary({"max_position_embeddings": 4096, "rope_scaling": scaling}, "LlamaForCausalLM", 128)
    assert len(found) <= 1
