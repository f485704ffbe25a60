"""What a kernel is asked for, and what it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from shipfit.core.versions import release_numbers
from shipfit.hardware.gpu import NumberFormat
from shipfit.spec.base import Section

FP8_KV_CACHE = "fp8 KV cache"
"""What ``Layout.precision`` says where it is not weights that need a kernel."""

Release = tuple[float, ...]

_NEWEST = (math.inf,)


class Kernel(Section):
    """A kernel of vLLM and what it takes; kernels.yaml explains each field."""

    name: str
    serves: tuple[str, ...]
    platform: Literal["nvidia", "amd", "cpu"]
    capability: float = 0
    below: float = math.inf
    since: str | None = None
    until: str | None = None
    after: str | None = None
    matrices: Literal["dense", "experts", "all"] = "all"
    methods: tuple[str, ...] | None = None
    groups: tuple[Annotated[int, Field(ge=-1)], ...] | None = None
    even: bool = False
    symmetric: bool = False
    order: Literal["anywhere", "whole", "no"] = "anywhere"
    columns: PositiveInt = 1
    rows: PositiveInt = 1
    straddle: bool = False
    blocks: bool = False
    gpus: PositiveInt | None = None
    flag: str | None = None
    computes: NumberFormat | None = None
    note: str | None = None
    source: str


@dataclass(frozen=True)
class Layout:
    """How weights are stored, as far as kernels care.

    Attributes:
        precision: its name.
        group: weights of a row that share a scale: -1 the whole row; 0 the whole matrix, where there is a scale.
        block_rows: rows that share it too.
        symmetric: whether there are no zero points.
        act_order: whether inputs were reordered by activation.
        method: ``quant_method`` of the checkpoint.
    """

    precision: str
    group: int = 0
    block_rows: int = 1
    symmetric: bool = True
    act_order: bool = False
    method: str = "compressed-tensors"


@dataclass(frozen=True)
class Matrix:
    """A matrix as one GPU holds it.

    Attributes:
        name: what it is, such as ``attention.qkv``.
        rows: outputs on the GPU, one number for each matrix that was fused into it.
        columns: inputs on the GPU.
        gpus: how many share it.
        by_columns: whether they share its inputs; else its outputs.
        experts: whether it is that of an expert.
    """

    name: str
    rows: tuple[int, ...]
    columns: int
    gpus: int = 1
    by_columns: bool = False
    experts: bool = False


@dataclass(frozen=True)
class Place:
    """Where a kernel is to run.

    Attributes:
        platform: the build of vLLM: nvidia, amd or cpu.
        name: of the GPU, for messages.
        capability: of the GPU.
        flags: instructions of the processor.
    """

    platform: str
    name: str
    capability: float
    flags: tuple[str, ...]


def release(version: str | None) -> Release:
    """A release of vLLM as numbers that compare: ``0.6.3.post1`` is 0.6.3; None the newest.

    Raises:
        InputError: it does not begin with a number.
    """
    return _NEWEST if version is None else release_numbers(version)
