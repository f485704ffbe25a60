from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.artifacts import canonical_json, fingerprint

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
INPUTS = st.dictionaries(st.text(), VALUES, max_size=5)


def _shuffled(value: Any) -> Any:
    """The same value with every dictionary's keys the other way round and every list a tuple."""
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(value)}
    return tuple(_shuffled(item) for item in value) if isinstance(value, list) else value


@given(INPUTS)
def test_the_order_of_keys_and_the_kind_of_sequence_do_not_matter(inputs: dict[str, Any]) -> None:
    assert fingerprint(inputs) == fingerprint(_shuffled(inputs))


@given(INPUTS, st.text(), st.integers())
def test_another_value_is_another_fingerprint(inputs: dict[str, Any], key: str, value: int) -> None:
    assert fingerprint({**inputs, key: value}) != fingerprint({**inputs, key: value + 1})


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_a_whole_number_is_the_same_with_and_without_a_fraction(number: int) -> None:
    assert fingerprint({"n": number}) == fingerprint({"n": float(number)})


def test_what_is_hashed_is_known() -> None:
    inputs = {"b": [1.0, 0.1], "a": "é", "c": {"y": None, "x": True}}
    assert canonical_json(inputs) == b'{"a":"\\u00e9","b":[1,0.1],"c":{"x":true,"y":null}}'
    assert fingerprint(inputs) == "a96a6cea5b9c39d0b38b5086869e78aac4056df73537d3dc2bae92070bde6f8c"


def test_it_does_not_depend_on_the_process() -> None:
    code = (
        "from shipfit.artifacts import fingerprint; print(fingerprint({'z': {'b': 2, 'a': [1.5]}, 'y': 'x'}))"
    )
    seeds = ("1", "2")
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in seeds
    }
    assert outputs == {fingerprint({"y": "x", "z": {"a": [1.5], "b": 2}}) + "\n"}


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"x": wrong})


def test_a_value_without_a_json_form_is_refused() -> None:
    with pytest.raises(TypeError):
        fingerprint({"x": object()})
    with pytest.raises(TypeError):
        fingerprint({"x": {1: "a key that is no text"}})
