"""What is known of a kind of GPU, and of the processor where there is none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from shipfit.spec.base import Document, Section

GIB = 2**30

UNMEASURED_SHARE = 0.92
"""Usable GiB over the label's GB where nobody measured it: the least of those measured (T4: 14.74 of 16)."""

NumberFormat = Literal["fp16", "bf16", "fp8", "int8", "fp4"]


class Link(Section):
    """How the GPUs of one machine talk to each other."""

    kind: Literal["nvlink", "pcie"]
    """What they are connected by."""
    gb_s: PositiveFloat
    """GB/s of one GPU, both directions together."""


class Cpu(Section):
    """What only a processor has."""

    cores: Annotated[int, Field(gt=0)]
    """Cores that this process may use."""
    core_bandwidth_gb_s: PositiveFloat
    """Memory bandwidth that one core reaches alone, in GB/s."""
    core_tflops: PositiveFloat
    """Fused multiply-adds of 32-bit numbers that one core can do, in TFLOP/s."""
    flags: tuple[str, ...]
    """Vector instructions that matter to vLLM."""


class Gpu(Section):
    """A kind of GPU; or this machine's processor, which serves models too."""

    name: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    """What specs call it."""
    label: str | None = None
    """`nvidia.com/gpu.product`, as GPU feature discovery sets it."""
    memory_gb: PositiveFloat
    """Memory as the label says, in GB."""
    usable_gib: PositiveFloat | None = None
    """Memory that the driver leaves to one process, in GiB, as measured."""
    usable_source: str | None = None
    """Where that was measured."""
    bandwidth_gb_s: PositiveFloat
    """Memory bandwidth in GB/s."""
    tflops: dict[NumberFormat, PositiveFloat]
    """Dense tensor throughput by number format, in TFLOP/s (TOPS for integers)."""
    capability: float | None = None
    """CUDA compute capability; none for a processor."""
    link: Link | None = None
    """How the GPUs of one machine talk to each other."""
    source: str
    """Where the figures were read."""
    cpu: Cpu | None = None
    """For a processor: its cores."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Gpu:
        if (self.cpu is None) != (self.capability is not None):
            raise ValueError("a GPU has a capability, such as 8.0")
        if not self.tflops:
            raise ValueError("tflops is empty: name at least fp16 and its TFLOP/s")
        if self.usable_gib and self.usable_gib > self.memory_gb:
            raise ValueError(f"usable_gib ({self.usable_gib}) is more than memory_gb ({self.memory_gb})")
        return self

    @property
    def memory_gib(self) -> float:
        """GiB that one process can use: measured, else a cautious share of the label."""
        return self.usable_gib or self.memory_gb * UNMEASURED_SHARE


class GpuCatalogue(Document):
    """A file of GPUs."""

    kind: Literal["GpuCatalogue"]
    """Says that this file is a catalogue of GPUs."""
    gpus: list[Gpu]
    """The GPUs."""
