from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from tests.unit.models.quantization.sections import compressed, facts_of


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
