"""Reads safetensors files as they lie on the disk: what their headers say, whether that can be, and what is no number.

Not through the library, which refuses a damaged file with its first fault only and loads a tensor as a whole.
Format: github.com/huggingface/safetensors, README.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
"""Bytes of a value, by number format."""

_NOT_FINITE = {
    "F16": (np.uint16, 0x7C00, 0x7C00),
    "BF16": (np.uint16, 0x7F80, 0x7F80),
    "F32": (np.uint32, 0x7F800000, 0x7F800000),
    "F64": (np.uint64, 0x7FF0000000000000, 0x7FF0000000000000),
    "F8_E4M3": (np.uint8, 0x7F, 0x7F),  # has no infinity
    "F8_E5M2": (np.uint8, 0x7C, 0x7C),
    "F8_E8M0": (np.uint8, 0xFF, 0xFF),
    "MX scale": (np.uint8, 0xFF, 0xFF),
}
"""Of a number format: an integer of its width, a mask, and what the masked bits are of a NaN or an infinity."""

_CHUNK = 32 * 2**20
"""Bytes read at once."""

_LONGEST_HEADER = 100_000_000
"""Bytes, as the format's own library allows."""


class DamagedFileError(Exception):
    """A file is no whole safetensors file; the message says why."""


@dataclass(frozen=True)
class Stored:
    """A tensor on the disk.

    Attributes:
        file: that holds it.
        format: number format, as ``BF16``.
        begin: first byte, counted from the file's beginning.
    """

    file: Path
    format: str
    shape: tuple[int, ...]
    begin: int

    @property
    def bytes(self) -> int:
        """Its size."""
        return prod(self.shape) * BYTES[self.format]

    def not_finite(self, number_format: str | None = None) -> int:
        """How many of its values are NaN or infinite; 0 for integers.

        Args:
            number_format: what its bytes stand for, where that is not what the header says.
        """
        known = _NOT_FINITE.get(number_format or self.format)
        if known is None:
            return 0
        kind, mask, value = known
        return sum(int(np.count_nonzero((chunk & kind(mask)) == kind(value))) for chunk in self._chunks(kind))

    def integers(self) -> npt.NDArray[np.int64]:
        """Its values, where it is a small one of signed integers."""
        kind: Any = {"I8": np.int8, "I32": np.int32, "I64": np.int64}[self.format]
        return np.concatenate([*self._chunks(kind), np.zeros(0, kind)]).astype(np.int64)

    def _chunks(self, kind: Any) -> Iterator[npt.NDArray[Any]]:
        width = np.dtype(kind).itemsize
        with self.file.open("rb") as stream:
            stream.seek(self.begin)
            left = self.bytes // width
            while left:
                chunk = np.fromfile(stream, kind, min(left, _CHUNK // width))
                if not len(chunk):
                    raise DamagedFileError(f"{self.file.name} ends within a tensor")
                left -= len(chunk)
                yield chunk


def read_header(file: Path) -> dict[str, Stored]:
    """The tensors of a file, by name.

    Raises:
        DamagedFileError: the file is cut off, longer than its header says, or its header cannot be.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise DamagedFileError(f"{file.name} is cut off within its header")
        try:
            header = json.loads(stream.read(length))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            tensors = {name: _tensor(file, 8 + length, name, entry) for name, entry in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFileError(f"{file.name} has no header that can be read: {error}") from error
    end = 8 + length
    for name, tensor in sorted(tensors.items(), key=lambda each: (each[1].begin, each[1].bytes)):
        if tensor.begin != end:
            what = "overlaps another" if tensor.begin < end else "leaves a gap before it"
            raise DamagedFileError(f"{name} in {file.name} {what}")
        end += tensor.bytes
    if end != size:
        raise DamagedFileError(f"{file.name} has {size} bytes, and its header asks for {end}")
    return tensors


def _tensor(file: Path, offset: int, name: str, entry: dict[str, Any]) -> Stored:
    begin, end = entry["data_offsets"]
    tensor = Stored(file, entry["dtype"], tuple(int(side) for side in entry["shape"]), offset + int(begin))
    if any(side < 0 for side in tensor.shape) or tensor.bytes != int(end) - int(begin):
        raise ValueError(f"{name} does not have the size of its shape")
    return tensor


def weight_files(folder: Path) -> list[Path]:
    """The files of weights of a model, in order of their names."""
    return sorted(folder.glob("*.safetensors"))
