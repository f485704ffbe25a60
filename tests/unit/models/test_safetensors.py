from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from shipfit.models.safetensors import FIRST_READ, PREFIX, Tensor, read_header, weight_files


def file_of(header: Any, data: int = 0) -> bytes:
    """A file with a header and so many bytes behind it."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(data)


def read(content: bytes, size: int | None = None) -> dict[str, Tensor]:
    def part(offset: int, length: int) -> bytes:
        return content[offset : offset + length]

    return read_header(part, len(content) if size is None else size, "model.safetensors")


def tensor(begin: int, end: int, dtype: str = "U8", shape: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def test_each_tensor_has_its_elements_and_bytes() -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": tensor(0, 48, "BF16", [4, 6]),
        "b": tensor(48, 60, "F4", [4, 6]),  # two in a byte
        "c": tensor(60, 64, "F32", []),
        "none": tensor(64, 64, "F8_E4M3", [0, 7]),
    }
    expected = {
        "a": Tensor("BF16", 24, 48),
        "b": Tensor("F4", 24, 12),
        "c": Tensor("F32", 1, 4),
        "none": Tensor("F8_E4M3", 0, 0),
    }
    assert expected == read(file_of(header, 64))


def test_a_long_header_is_read_in_two_requests() -> None:
    header = {f"a.long.name.of.a.tensor.{number}": tensor(number, number + 1) for number in range(4000)}
    content = file_of(header, 4000)
    assert len(content) > FIRST_READ + 4000
    requests: list[tuple[int, int]] = []

    def part(offset: int, length: int) -> bytes:
        requests.append((offset, length))
        return content[offset : offset + length]

    assert len(read_header(part, len(content), "x")) == 4000
    assert [(0, FIRST_READ), (FIRST_READ, len(content) - 4000 - FIRST_READ)] == requests


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is only 0 bytes long"),
        (b"1234", "is only 4 bytes long"),
        (struct.pack("<Q", 2**60), "says that its header has 1,152,921,504,606,846,976 bytes"),
        (struct.pack("<Q", 0), "says that its header has 0 bytes"),
        (struct.pack("<Q", 50) + b"{}", "ends inside its header (2 of 50 bytes)"),
        (file_of(b"{oops"), "has a header that is not JSON"),
        (file_of(b"[" * 100_000), "has a header that is not JSON"),
        (file_of(b"[]"), "has a header that is not an object"),
        (file_of({"a": 1}), "says nothing about where a lies"),
        (file_of({"a": tensor(0, 1) | {"data_offsets": [0, "1"]}}), "says nothing about where a lies"),
        (file_of({"a": tensor(0, 1) | {"data_offsets": [-1, 0]}}), "says nothing about where a lies"),
        (file_of({"a": tensor(9, 1)}), "says that a ends before it begins"),
        (file_of({"a": tensor(0, 4), "b": tensor(3, 5)}, 5), "says that b lies over a"),
        (file_of({"a": tensor(0, 4)}, 3), "ends before a does (3 of 4 bytes)"),
        (file_of({"a": tensor(0, 2, "F12")}, 2), "says that a has the dtype 'F12', which there is not"),
        (
            file_of({"a": tensor(0, 2) | {"dtype": ["F16"]}}, 2),
            "says that a has the dtype ['F16'], which there is not",
        ),
        (file_of({"a": tensor(0, 2, "BF16", [2])}, 2), "says that a has 2 bytes, not those of [2] in BF16"),
        (file_of({"a": tensor(0, 2) | {"shape": [-2, -1]}}, 2), "says nothing about the shape of a"),
    ],
)
def test_a_damaged_file_says_what_is_wrong_with_it(content: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content)
    assert f"model.safetensors: {words}; download that file again" == str(caught.value)


@given(content=st.binary(max_size=80))
def test_whatever_the_file_holds_it_is_read_or_refused(content: bytes) -> None:
    try:
        read(content)
    except InputError as error:
        assert "\n" not in str(error)


@given(
    header=st.dictionaries(
        st.text(max_size=3),
        st.none()
        | st.integers()
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets"]),
            st.sampled_from(["BF16", "U8", [0, 2], [2], [1], [], [2, 4], 7, None]),
        ),
        max_size=4,
    )
)
def test_whatever_the_header_says_it_is_read_or_refused(header: dict[str, Any]) -> None:
    try:
        assert all(each.bytes >= 0 for each in read(file_of(header, 4)).values())
    except InputError as error:
        assert "\n" not in str(error)


def test_without_an_index_there_is_one_file() -> None:
    assert ["model.safetensors"] == weight_files(None, "index")


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (b"{", "has no weight_map"),
        (b"[]", "has no weight_map"),
        (b'{"weight_map": {"a": "../../etc/passwd"}}', "names the file '../../etc/passwd'"),
        (b'{"weight_map": {"a": ".hidden"}}', "names the file '.hidden'"),
        (rb'{"weight_map": {"a": "x\u0000"}}', r"names the file 'x\x00'"),
        (b'{"weight_map": {"a": 1}}', "names the file 1"),
        (b'{"weight_map": {"a": []}}', "has no weight_map"),
    ],
)
def test_a_damaged_index_is_refused(index: bytes, words: str) -> None:
    with pytest.raises(InputError, match=r"^index: ") as caught:
        weight_files(index, "index")
    assert words in str(caught.value)


def test_the_prefix_is_part_of_the_file() -> None:
    assert read(file_of({"a": tensor(0, 4)}, 4), size=PREFIX + len(json.dumps({"a": tensor(0, 4)})) + 4)
