"""Quantization schemes: how many bytes a weight takes, and which hardware accepts them."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from shipfit.core.data import read_yaml
from shipfit.core.errors import InputError
from shipfit.hardware import Gpu
from shipfit.hardware.gpu import NumberFormat
from shipfit.spec.base import Section
from shipfit.spec.precision import Precision

_FILE = Path(__file__).with_name("schemes.yaml")


class Scheme(Section):
    """How a precision stores weights, and what accepts it; schemes.yaml explains each field."""

    name: Precision
    bits: PositiveFloat
    group: Annotated[int, Field(ge=-1)] = 0
    scale_bytes: NonNegativeInt = 0
    zero_bits: NonNegativeInt = 0
    compute: NumberFormat
    embeddings: bool = False
    capability: NonNegativeFloat
    below: float = math.inf
    cpu: bool
    automatic: bool
    source: str

    def matrix_bytes(self, rows: float, columns: int) -> float:
        """Bytes of a converted matrix with its scales and zero points.

        Args:
            rows: outputs; a fraction where tensor parallelism splits unevenly.
            columns: inputs; groups run along them, and the last may be shorter.
        """
        stored = rows * columns * self.bits / 8
        if self.group == 0:
            return stored
        groups = 1 if self.group < 0 else math.ceil(columns / self.group)
        return stored + rows * groups * (self.scale_bytes + self.zero_bits / 8)

    def refusal(self, gpu: Gpu) -> str | None:
        """Why a kind of GPU does not accept this precision; None where it does."""
        if gpu.capability is None:
            return None if self.cpu else f"vLLM's CPU build has no kernel for {self.name}"
        if gpu.capability < self.capability:
            return f"{self.name} needs compute capability {self.capability} or newer; {gpu.name} has {gpu.capability}"
        if gpu.capability >= self.below:
            return f"{self.name} is not there from compute capability {self.below} on; {gpu.name} has {gpu.capability}"
        return None


class _Schemes(Section):
    schemes: list[Scheme]


@cache
def schemes() -> dict[Precision, Scheme]:
    """Every scheme, from the least to the most aggressive."""
    content = read_yaml(_FILE)
    return {scheme.name: scheme for scheme in _Schemes.model_validate(content).schemes}


def scheme(name: str) -> Scheme:
    """The scheme of a precision.

    Raises:
        InputError: there is no such precision.
    """
    if name not in schemes():
        raise InputError(f"no precision is called {name!r}", hint=f"there are: {', '.join(schemes())}")
    return schemes()[Precision(name)]
