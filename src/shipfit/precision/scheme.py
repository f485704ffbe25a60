"""Quantization schemes: how many bytes a weight takes, and what it is known to lose."""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shipfit.core.data import read_yaml
from shipfit.core.errors import InputError
from shipfit.hardware import Gpu
from shipfit.hardware.gpu import NumberFormat
from shipfit.models import Format
from shipfit.precision.kernel import Layout
from shipfit.precision.kernels import choose
from shipfit.spec.base import Section
from shipfit.spec.precision import Precision

_FILE = Path(__file__).with_name("schemes.yaml")


class Quality(Section):
    """What a precision is known to lose."""

    loss_percent: NonNegativeFloat
    """How much worse it is than 16 bits, in percent."""
    of: str
    """What was measured, of which model."""
    source: str
    """Where it was published."""


class Scheme(Section):
    """How a precision stores weights; schemes.yaml explains each field."""

    name: Precision
    bits: PositiveFloat
    group: Annotated[int, Field(ge=-1)] = 0
    scale_bytes: NonNegativeInt = 0
    zero_bits: NonNegativeInt = 0
    block_rows: PositiveInt = 1
    compute: NumberFormat
    embeddings: bool = False
    automatic: bool
    quality: Quality | None = None
    source: str

    @cached_property
    def format(self) -> Format:
        """How it lays a matrix out."""
        return Format(self.bits, self.group, self.scale_bytes, self.zero_bits, self.block_rows)

    @cached_property
    def layout(self) -> Layout:
        """How it stores weights, as far as kernels care."""
        return Layout(self.name, self.group, self.block_rows, symmetric=self.zero_bits == 0)

    def refusal(self, gpu: Gpu, version: str | None = None) -> str | None:
        """Why a kind of GPU does not accept this precision, whatever the model; None where it does.

        Args:
            gpu: the kind of GPU, or a processor.
            version: release of vLLM; the newest by default.
        """
        return choose(self.layout, gpu, version).reason


def compute_format(scheme: Scheme, gpu: Gpu, version: str | None = None) -> NumberFormat:
    """The number format that the multiplication itself is done in.

    Weights alone in 8 or 4 bits are widened to 16 first; where a GPU has no bf16, these are fp16.

    Args:
        scheme: how the weights are stored.
        gpu: the kind of GPU, or a processor.
        version: release of vLLM; the newest by default.
    """
    kernel = choose(scheme.layout, gpu, version).kernel
    wanted = (kernel.computes if kernel else None) or scheme.compute
    if wanted in gpu.tflops:
        return wanted
    return "bf16" if "bf16" in gpu.tflops else "fp16"


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
