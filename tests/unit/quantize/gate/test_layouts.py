"""How quantized layers are stored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.gate.workers.shipfit_layouts import (
    Scheme,
    UnknownLayoutError,
    contradictions,
    is_ignored,
    part_names,
    parts,
    scheme_of,
)


def compressed(layout: str = "pack-quantized", **weights: Any) -> dict[str, Any]:
    usual = {
        "num_bits": 4,
        "type": "int",
        "strategy": "group",
        "group_size": 128,
        "symmetric": True,
        "block_structure": None,
    }
    group = {"weights": {**usual, **weights}, "input_activations": None, "format": layout}
    return {"quant_method": "compressed-tensors", "format": layout, "config_groups": {"group_0": group}}


@given(st.integers(1, 8), st.integers(1, 8), st.sampled_from([4, 8]), st.sampled_from([32, 64, 128]))
def test_packed_weights_have_as_many_integers_as_their_bits_need(
    rows: int, columns: int, bits: int, group: int
) -> None:
    rows, columns = 32 * rows, 128 * columns
    scheme = Scheme("pack-quantized", bits, "int", "group", group, symmetric=False)
    found = parts(scheme, rows, columns)
    assert found["weight_packed"].shape == (rows, columns * bits // 32)
    assert found["weight_scale"].shape == (rows, columns // group)
    assert found["weight_zero_point"].shape == (rows * bits // 32, columns // group)
    gptq = parts(Scheme("gptq", bits, "int", "group", group), rows, columns)
    assert gptq["qweight"].shape == (columns * bits // 32, rows)
    assert gptq["scales"].shape == (columns // group, rows)
    awq = parts(Scheme("awq", bits, "int", "group", group), rows, columns)
    assert awq["qweight"].shape == (columns, rows * bits // 32)
    assert awq["qzeros"].shape == (columns // group, rows * bits // 32)


def test_schemes_are_read_from_every_method() -> None:
    assert scheme_of(compressed()) == Scheme("pack-quantized", 4, "int", "group", 128)
    assert scheme_of({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": False}) == Scheme(
        "gptq", 4, "int", "group", 128, symmetric=False
    )
    assert scheme_of({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}) == Scheme(
        "awq", 4, "int", "group", 64, symmetric=False
    )


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "quant_method None"),
        ({"quant_method": "exl3"}, "quant_method exl3"),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, "0 config_groups"),
    ],
)
def test_what_is_not_known_is_named(config: dict[str, Any], named: str) -> None:
    with pytest.raises(UnknownLayoutError, match=named):
        scheme_of(config)


def test_a_format_that_is_not_known_is_named() -> None:
    with pytest.raises(UnknownLayoutError, match="format marlin-24"):
        parts(scheme_of(compressed("marlin-24")), 32, 32)


@pytest.mark.parametrize(
    ("recipe", "lines"),
    [
        ({"precision": "gptq-w4a16", "group_size": 128, "symmetric": True}, []),
        ({"precision": "gptq-w4a16", "group_size": 32}, ["group_size is 128, and the recipe asks for 32"]),
        (
            {"precision": "awq-w4a16", "symmetric": False},
            ["symmetric is True, and the recipe asks for False"],
        ),
        ({"precision": "int8-w8a16"}, ["bits is 4, and the recipe asks for 8"]),
        (
            {"precision": "nvfp4"},
            ["number is int, and the recipe asks for float", "group_size is 128, and the recipe asks for 16"],
        ),
        ({"precision": "bf16"}, []),
    ],
)
def test_a_scheme_is_held_to_its_recipe(recipe: dict[str, Any], lines: list[str]) -> None:
    assert contradictions(scheme_of(compressed()), recipe) == lines


def test_ignored_layers() -> None:
    ignore = ["lm_head", r"re:.*mlp\.gate$"]
    assert is_ignored("lm_head", ignore)
    assert is_ignored("model.layers.3.mlp.gate", ignore)
    assert not is_ignored("model.layers.3.mlp.gate_proj", ignore)
    assert not is_ignored("model.lm_head", ignore)
    assert is_ignored("lm_head", None)
    assert not is_ignored("model.layers.0.mlp.gate_proj", None)
    assert not is_ignored("lm_head", [])


def test_every_layout_has_parts_to_be_known_by() -> None:
    assert {"weight_packed", "weight_scale", "qweight", "scales", "input_global_scale"} <= part_names()
