"""What is known of a kind of GPU, and of the processor where there is none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from shipfit.spec.base import Document, Section

UNMEASURED_SHARE = 0.919
"""Usable GiB over the label's GB where nobody measured it: the least of those measured (A10G: 22.06 of 24)."""

NumberFormat = Literal["fp16", "bf16", "fp8", "int8", "int4", "fp6", "fp4"]

Vendor = Literal["nvidia", "amd", "intel", "google"]

_WITH_CAPABILITY = ("nvidia", "amd")


class Link(Section):
    """How the GPUs of one machine talk to each other."""

    kind: Literal["nvlink", "nvswitch", "xgmi", "ici", "ethernet", "pcie"]
    """What they are connected by; `nvlink` joins pairs by a bridge, `nvswitch` all of a machine."""
    gb_s: PositiveFloat
    """GB/s of one GPU, both directions together."""


class Mig(Section):
    """A MIG profile: a part of a GPU that programs see as a GPU of its own."""

    gib: PositiveFloat | None = None
    """Memory as `nvidia-smi mig -lgip` lists it, in GiB; where it is left out, the GPU's by eighths."""
    eighths: PositiveInt
    """Eighths of the memory and its bandwidth."""
    sms: PositiveInt
    """Streaming multiprocessors."""


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
    """A kind of GPU, or a MIG profile of one; or this machine's processor, which serves models too."""

    name: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    """What specs call it."""
    vendor: Vendor = "nvidia"
    """Who makes it; of a processor, without meaning."""
    label: str | None = None
    """`nvidia.com/gpu.product`, as GPU feature discovery sets it; for others, their own node label's value."""
    aliases: tuple[str, ...] = ()
    """Other names for it, where leaving out memory or form does not give them."""
    resource: str = "nvidia.com/gpu"
    """What a pod asks Kubernetes for."""
    memory_gb: PositiveFloat
    """Memory as the label says, in GB."""
    usable_gib: PositiveFloat | None = None
    """Memory that the driver leaves to one process, in GiB, as measured."""
    usable_source: str | None = None
    """Where that was measured."""
    ecc: Literal["free", "taken", "extra"] | None = None
    """Error correction: `free` of memory; `taken`: its sixteenth is out of usable_gib; `extra`: off, would take it."""
    bandwidth_gb_s: PositiveFloat
    """Memory bandwidth in GB/s."""
    tflops: dict[NumberFormat, PositiveFloat]
    """Dense tensor throughput by number format, with 32-bit accumulation, in TFLOP/s (TOPS for integers)."""
    capability: float | None = None
    """CUDA compute capability; on AMD what PyTorch reports for the architecture (gfx942: 9.4)."""
    link: Link | None = None
    """How the GPUs of one machine talk to each other."""
    node: PositiveInt = 8
    """GPUs of a usual machine."""
    sms: PositiveInt | None = None
    """Streaming multiprocessors, where it can be divided by MIG."""
    mig: dict[str, Mig] = Field(default_factory=dict)
    """MIG profiles by name, such as `3g.40gb`."""
    source: str
    """Where the figures were read."""
    cpu: Cpu | None = None
    """For a processor: its cores."""
    part_of: str | None = None
    """For a MIG profile: the GPU that it is a part of."""
    anonymous: bool = False
    """Whether only its memory is known; its other figures are then a stand-in's, and speeds mean nothing."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Gpu:
        if (self.cpu is None and self.vendor in _WITH_CAPABILITY) != (self.capability is not None):
            raise ValueError("a GPU of nvidia or amd, and no other, has a capability, such as 8.0")
        if not self.tflops:
            raise ValueError("tflops is empty: name at least fp16 and its TFLOP/s")
        if self.usable_gib and self.usable_gib > self.memory_gb:
            raise ValueError(f"usable_gib ({self.usable_gib}) is more than memory_gb ({self.memory_gb})")
        if self.mig and self.sms is None:
            raise ValueError("mig divides streaming multiprocessors: sms says how many there are")
        return self

    @property
    def platform(self) -> str:
        """Which build of vLLM serves on it: its vendor's, or ``cpu``."""
        return "cpu" if self.cpu else self.vendor

    @property
    def memory_gib(self) -> float:
        """GiB that one process can use: measured, else a cautious share of the label."""
        return self.usable_gib or self.memory_gb * UNMEASURED_SHARE

    def partition(self, profile: str) -> Gpu:
        """A MIG profile as the GPU that programs see.

        Its compute goes by streaming multiprocessors, its bandwidth by eighths of the memory (NVIDIA MIG user guide,
        "Concepts"). There is no link: profiles cannot reach each other (the same, "Application considerations").

        Args:
            profile: one of ``mig``.

        Raises:
            KeyError: there is no such profile.
        """
        part = self.mig[profile]
        compute = part.sms / (self.sms or part.sms)
        return self.model_copy(
            update={
                "name": f"{self.name}:{profile}",
                "label": f"{self.label or self.name}-MIG-{profile}",
                "aliases": (),
                "resource": f"nvidia.com/mig-{profile}",
                "memory_gb": self.memory_gb * part.eighths / 8,
                "usable_gib": part.gib or self.memory_gib * part.eighths / 8 * UNMEASURED_SHARE,
                "usable_source": "nvidia-smi mig -lgip" if part.gib else None,
                "bandwidth_gb_s": self.bandwidth_gb_s * part.eighths / 8,
                "tflops": {name: rate * compute for name, rate in self.tflops.items()},
                "link": None,
                "sms": part.sms,
                "mig": {},
                "part_of": self.name,
            }
        )


class GpuCatalogue(Document):
    """A file of GPUs."""

    kind: Literal["GpuCatalogue"]
    """Says that this file is a catalogue of GPUs."""
    gpus: list[Gpu]
    """The GPUs; of those that a short name could mean, the first is meant."""
    stand_ins: tuple[str, ...] = ()
    """GPUs whose figures stand for one of which only the memory is given: the nearest in memory does."""
