"""How kernels lay weights out in memory, where that takes another size than the checkpoint says: padding.yaml."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shipfit.core.data import read_yaml
from shipfit.core.units import MIB
from shipfit.core.versions import release_numbers
from shipfit.models import Format, Split
from shipfit.spec.base import Section

_FILE = Path(__file__).with_name("padding.yaml")
_FOUR_BITS = {(4.0, 32, 1.0): "mxfp4", (4.0, 16, 1.0): "nvfp4"}
_NF4 = (4.0, 64, 4.0)
"""These two by bits, group and bytes of a scale."""
_FP8_BITS, _FP8_SCALE = 8, 4
_INTEGER_SCALE = 2
"""Bytes of a scale of whole numbers."""
_USUAL_CAPABILITY = 9.0
"""Hopper's."""


class _Entry(Section):
    from_: NonNegativeFloat = Field(0, alias="from")
    below: PositiveFloat = math.inf
    before: str | None = None


class _Padding(_Entry):
    of: Literal["mxfp4", "nvfp4", "fp8", "fp8-block", "bf16"]
    hidden: PositiveInt = 1
    inner: PositiveInt = 1
    ungated: PositiveInt | None = None
    inputs: PositiveInt = 1


class _ZeroPoints(_Entry):
    asymmetric_bits: NonNegativeInt
    unused_kept: bool


class _Blocks(_Entry):
    rows_apart: bool


class _Scales(_Entry):
    bytes: PositiveFloat


class _Workspace(_Entry):
    mib: NonNegativeInt


class _Kernels(Section):
    experts: list[_Padding]
    experts_source: str
    zero_points: list[_ZeroPoints]
    zero_points_source: str
    fp8_blocks: list[_Blocks]
    fp8_blocks_source: str
    nf4_scales: list[_Scales]
    nf4_scales_source: str
    latent_workspace: list[_Workspace]
    latent_workspace_source: str


_AnyEntry = TypeVar("_AnyEntry", bound=_Entry)


@dataclass(frozen=True)
class Engine:
    """What decides which kernels serve a model.

    Attributes:
        capability: compute capability of the GPU; None where it is not known, or is no GPU.
        version: release of vLLM; None: the one that shipfit serves with.
        method: the checkpoint's ``quant_method``, if it is quantized.
    """

    capability: float | None = None
    version: str | None = None
    method: str | None = None

    def layout(self, stored: Format, *, expert: bool) -> Format:
        """A format as it lies in memory.

        Args:
            stored: as the checkpoint has it.
            expert: whether it is an expert's.
        """
        if (stored.bits, stored.group, stored.scale_bytes) == _NF4:
            return replace(stored, scale_bytes=self._first(_kernels().nf4_scales).bytes)
        if stored.block_rows > 1 and self._first(_kernels().fp8_blocks).rows_apart:
            return replace(stored, block_rows=1, scale_bytes=2)
        if stored.scale_bytes != _INTEGER_SCALE:
            return stored
        zeros = self._first(_kernels().zero_points)
        if stored.zero_bits:
            bits = 0 if expert else zeros.asymmetric_bits
            return replace(stored, zero_bits=bits or stored.zero_bits)
        if self.method == "gptq" and (expert or zeros.unused_kept):
            return replace(stored, zero_bits=round(stored.bits))
        return stored

    def padded(
        self, stored: Format | None, split: Split, rows: float, columns: float, *, gated: bool
    ) -> tuple[float, float, float]:
        """An expert as its kernel wants it: outputs, inputs, and the inputs again as its matrix lies without scales.

        Args:
            stored: its format; None: 16 bits.
            split: how tensor parallelism divides it: by outputs into the experts, by inputs out of them.
            rows: outputs on a GPU.
            columns: inputs on a GPU.
            gated: whether experts have a gate.
        """
        fitting = [entry for entry in _kernels().experts if entry.of == _name(stored)]
        padding = self._found(fitting)
        if padding is None:
            return rows, columns, columns
        multiple = padding.inner if gated else padding.ungated or padding.inner
        outer, inner = (columns, rows) if split is Split.OUTPUTS else (rows, columns)
        outer, inner = _up(outer, padding.hidden), _up(inner, multiple)
        rows, columns = (inner, outer) if split is Split.OUTPUTS else (outer, inner)
        return rows, columns, _up(columns, padding.inputs)

    @property
    def latent_workspace(self) -> int:
        """Bytes that are taken beside the weights while a model with latent attention is loaded."""
        return self._first(_kernels().latent_workspace).mib * MIB

    def _first(self, entries: Sequence[_AnyEntry]) -> _AnyEntry:
        found = self._found(entries)
        if found is None:
            raise LookupError("the last entry of each list in padding.yaml but experts fits everything")
        return found

    def _found(self, entries: Sequence[_AnyEntry]) -> _AnyEntry | None:
        capability = self.capability or _USUAL_CAPABILITY
        for entry in entries:
            if entry.from_ <= capability < entry.below and (
                entry.before is None or self._older(entry.before)
            ):
                return entry
        return None

    def _older(self, release: str) -> bool:
        return self.version is not None and release_numbers(self.version) < release_numbers(release)


def _name(stored: Format | None) -> str | None:
    """What padding.yaml calls a format of experts."""
    if stored is None:
        return "bf16"
    if stored.block_rows > 1:
        return "fp8-block"
    if stored.bits == _FP8_BITS and stored.scale_bytes == _FP8_SCALE:
        return "fp8"
    return _FOUR_BITS.get((stored.bits, stored.group, stored.scale_bytes))


@cache
def _kernels() -> _Kernels:
    return _Kernels.model_validate(read_yaml(_FILE))


def _up(size: float, multiple: int) -> float:
    return math.ceil(size / multiple) * multiple if multiple > 1 else size
