from __future__ import annotations

from typing import Any

import pytest

from shipfit.core.errors import InputError
from shipfit.models import ModelFacts, Rotary
from shipfit.models.architectures import read_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "hidden_size": 512,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 4096,
}
GPT_2 = {"architectures": ["GPT2LMHeadModel"], "n_positions": 1024}
MAMBA = {
    "architectures": ["MambaForCausalLM"],
    "state_size": 16,
    "conv_kernel": 4,
    "max_position_embeddings": None,
}
MROPE = {"rope_type": "default", "mrope_section": [16, 24, 24]}


def read(fields: dict[str, Any]) -> ModelFacts:
    return read_config(LLAMA | fields, "m", "config.json")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 4096),
        ({"max_position_embeddings": None, "seq_length": 2048}, 2048),
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, 16384),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, 8192),
        ({"rope_scaling": {"type": "dynamic", "factor": None}}, 4096),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 4096),  # these state the scaled length
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, 4096),
        ({"rope_scaling": {"type": "deepseek_llama_scaling", "factor": 4.0}}, 4096),
        ({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0}}}, 16384),
        (GPT_2, 4096),
        (MAMBA, 2**20),
    ],
)
def test_the_context_is_what_is_stated_unless_its_scaling_comes_on_top(
    fields: dict[str, Any], expected: int
) -> None:
    assert expected == read(fields).max_position_embeddings


@pytest.mark.parametrize(
    ("fields", "expected"),
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
        ({"rope_theta": 1e6, "swa_rope_theta": 1e4}, [(4096, 128), (4096, 128)]),
        ({"rope_theta": 1e6, "swa_rope_theta": 1e6}, [(4096, 128)]),
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
        (
            {  # Gemma 4: the part that is not turned has its numbers too
                "global_head_dim": 256,
                "rope_parameters": {
                    "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25},
                    "sliding_attention": {"rope_theta": 1e4},
                },
            },
            [(4096, 256), (4096, 128)],
        ),
        ({"max_position_embeddings": None, "seq_length": 2048}, [(2048, 128)]),  # ChatGLM's name for it
        (GPT_2, []),  # learned positions
        (MAMBA, []),  # nothing attends
    ],
)
def test_a_table_reaches_as_far_as_its_kind_says(
    fields: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    assert tuple(Rotary(positions, width) for positions, width in expected) == read(fields).rotary


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        (7, "rope_scaling: is 7, not an object"),
        ("yarn", "rope_scaling: is 'yarn', not an object"),
        ([], "rope_scaling: is [], not an object"),
        ({"factor": "x"}, "rope_scaling.factor: is 'x', not a positive number"),
        (
            {"full_attention": {"factor": -1}},
            "rope_scaling.full_attention.factor: is -1, not a positive number",
        ),
        (
            {"original_max_position_embeddings": -1},
            "rope_scaling.original_max_position_embeddings: is -1, not a whole number from 0 on",
        ),
    ],
)
def test_a_scaling_that_makes_no_sense_is_refused(scaling: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read({"rope_scaling": scaling})
    assert str(caught.value).startswith(f"config.json: {words}")
