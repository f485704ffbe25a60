"""Reading safetensors headers: what a checkpoint really stores, without its tensors.

A file begins with the header's length (8 bytes, little endian) and the header (JSON): each tensor's dtype, shape and
place (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from reprlib import repr as shown
from typing import Any

from shipfit.core.errors import InputError

PREFIX = 8
"""Bytes that hold the header's length."""
MAX_HEADER = 100_000_000
"""Bytes that a header may have: the format's own limit."""
FIRST_READ = 1 << 17
"""Bytes that are read at once: most headers are shorter, and another request takes longer than these."""
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("F4", "F4_E2M1"), 4),
}
"""Bits of an element by dtype (safetensors/src/tensor.rs)."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as a header describes it.

    Attributes:
        dtype: as the format names it, such as ``BF16``.
        elements: how many there are.
        bytes: that they take.
    """

    dtype: str
    elements: int
    bytes: int


def read_header(read: Callable[[int, int], bytes], size: int | None, where: str) -> dict[str, Tensor]:
    """The header of one file.

    Args:
        read: called with offset and length in bytes; returns those bytes, fewer at the end of the file.
        size: bytes of the file; None where that is not known.
        where: the file; for messages.

    Returns:
        Each tensor by name.

    Raises:
        InputError: the file is not safetensors or is damaged.
    """
    first = read(0, FIRST_READ)
    if len(first) < PREFIX:
        raise _damaged(where, f"is only {len(first)} bytes long")
    (length,) = struct.unpack("<Q", first[:PREFIX])
    if not 2 <= length <= MAX_HEADER:
        raise _damaged(where, f"says that its header has {length:,} bytes")
    raw = first[PREFIX : PREFIX + length]
    if len(raw) < length and len(first) == FIRST_READ:
        raw += read(FIRST_READ, length - len(raw))
    if len(raw) < length:
        raise _damaged(where, f"ends inside its header ({len(raw):,} of {length:,} bytes)")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise _damaged(where, "has a header that is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged(where, "has a header that is not an object")
    return checked(header, None if size is None else size - PREFIX - length, where)


def checked(header: Mapping[str, Any], room: int | None, where: str) -> dict[str, Tensor]:
    """The tensors of a header, each of which lies where it can.

    Args:
        header: each tensor's entry by name.
        room: bytes of the file behind the header; None where that is not known.
        where: the file; for messages.

    Raises:
        InputError: an entry lacks something, contradicts itself, or lies over another or outside of the file.
    """
    tensors: dict[str, Tensor] = {}
    places: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = _place(name, entry, where)
        tensors[name] = _tensor(name, entry, end - begin, where)
        places.append((begin, end, name))
    places.sort()
    for (_, end, before), (begin, _, name) in pairwise(places):
        if begin < end:
            raise _damaged(where, f"says that {name} lies over {before}")
    if places and room is not None and places[-1][1] > room:
        raise _damaged(where, f"ends before {places[-1][2]} does ({room:,} of {places[-1][1]:,} bytes)")
    return tensors


def _place(name: str, entry: Any, where: str) -> tuple[int, int]:
    place = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(place, list) or len(place) != 2 or not all(_whole(number) for number in place):
        raise _damaged(where, f"says nothing about where {name} lies")
    begin, end = place
    if end < begin:
        raise _damaged(where, f"says that {name} ends before it begins")
    return begin, end


def _tensor(name: str, entry: Mapping[str, Any], size: int, where: str) -> Tensor:
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _damaged(where, f"says that {name} has the dtype {shown(dtype)}, which there is not")
    if not isinstance(shape, list) or not all(_whole(number) for number in shape):
        raise _damaged(where, f"says nothing about the shape of {name}")
    elements = math.prod(shape)
    if elements * _BITS[dtype] != size * 8:
        raise _damaged(where, f"says that {name} has {size:,} bytes, not those of {shape} in {dtype}")
    return Tensor(dtype, elements, size)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def weight_files(index: bytes | None, where: str) -> list[str]:
    """The files of a checkpoint, from its ``model.safetensors.index.json``; the usual one where there is none.

    Raises:
        InputError: the index is damaged, or names a file outside of the folder.
    """
    if index is None:
        return ["model.safetensors"]
    try:
        names = sorted(set(json.loads(index)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(where, "has no weight_map") from None
    for name in names:
        if not isinstance(name, str) or "/" in name or name.startswith(".") or not name.isprintable():
            raise _damaged(where, f"names the file {shown(name)}")
    return names


def _damaged(where: str, what: str) -> InputError:
    return InputError(what, hint="download that file again", where=where)
