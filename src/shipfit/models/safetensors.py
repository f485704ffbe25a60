"""Reading safetensors headers: what a checkpoint really stores, without its tensors.

A file begins with the header's length (8 bytes, little endian) and the header (JSON): each tensor's name, dtype,
shape and place (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

from shipfit.core.errors import InputError

PREFIX = 8
"""Bytes that hold the header's length."""
MAX_HEADER = 100_000_000
"""Bytes that a header may have: the format's own limit."""


def read_header(read: Callable[[int, int], bytes], where: str) -> dict[str, Any]:
    """The header of one file.

    Args:
        read: called with offset and length in bytes; returns those bytes, fewer at the end of the file.
        where: the file; for messages.

    Returns:
        Each tensor's entry by name.

    Raises:
        InputError: the file is not safetensors or is damaged.
    """
    prefix = read(0, PREFIX)
    if len(prefix) < PREFIX:
        raise _damaged(where, f"is only {len(prefix)} bytes long")
    (length,) = struct.unpack("<Q", prefix)
    if not 2 <= length <= MAX_HEADER:
        raise _damaged(where, f"says that its header has {length:,} bytes")
    raw = read(PREFIX, length)
    if len(raw) < length:
        raise _damaged(where, f"ends inside its header ({len(raw):,} of {length:,} bytes)")
    try:
        header = json.loads(raw)
    except ValueError:
        raise _damaged(where, "has a header that is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged(where, "has a header that is not an object")
    header.pop("__metadata__", None)
    return header


def tensor_bytes(header: Mapping[str, Any], where: str, *, leave_out: tuple[str, ...] = ()) -> int:
    """Bytes of the tensors in a header, from where they begin and end.

    Args:
        header: as ``read_header`` returns it.
        where: the file; for messages.
        leave_out: names of tensors that are not counted.

    Raises:
        InputError: an entry has no place in the file.
    """
    total = 0
    for name, entry in header.items():
        try:
            begin, end = entry["data_offsets"]
            size = int(end) - int(begin)
        except (TypeError, KeyError, ValueError):
            raise _damaged(where, f"says nothing about where {name} lies") from None
        if size < 0:
            raise _damaged(where, f"says that {name} ends before it begins")
        if name not in leave_out:
            total += size
    return total


def weight_files(index: bytes | None, where: str) -> list[str]:
    """The files of a checkpoint, from its ``model.safetensors.index.json``; the usual one where there is none.

    Raises:
        InputError: the index is damaged, or names a file outside of the folder.
    """
    if index is None:
        return ["model.safetensors"]
    try:
        names = sorted(set(json.loads(index)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(where, "has no weight_map") from None
    for name in names:
        if not isinstance(name, str) or "/" in name or name.startswith("."):
            raise _damaged(where, f"names the file {name!r}")
    return names


def _damaged(where: str, what: str) -> InputError:
    return InputError(what, hint="download that file again", where=where)
