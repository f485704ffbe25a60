"""How much of a GPU's label real kernels reach: the few figures of the speed model that physics does not give."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from shipfit.core.data import read_yaml
from shipfit.core.versions import release_numbers
from shipfit.hardware import Gpu
from shipfit.spec.base import Section

_FILE = Path(__file__).with_name("efficiencies.yaml")

KernelKind = Literal["wide", "weight-only", "fp8", "fp8-block", "int8", "fp4"]
"""Kinds of matrix kernels: 16 bits; few bits widened to 16; 8 bits; 8 bits with a scale a block; integers; 4 bits."""

Share = Annotated[float, Field(gt=0, le=1)]


class Kernels(Section):
    """What one kind of matrix kernel reaches; efficiencies.yaml explains each field."""

    reading: Share
    computing: Share


class Generation(Section):
    """What a generation of GPUs reaches."""

    capability: PositiveFloat
    kernels: dict[KernelKind, Kernels]
    experts_reading: Share
    experts_computing: Share
    attention: Share
    block_s: NonNegativeFloat
    uncaptured_s: NonNegativeFloat
    all_reduce_s: NonNegativeFloat


class Everywhere(Section):
    """What is the same on all GPUs."""

    cache_reading: Share
    cache_attention: Share
    narrow_reading: NonNegativeFloat
    narrow_computing: NonNegativeFloat
    experts_evenness: PositiveFloat
    experts_s: NonNegativeFloat
    fused_experts_s: NonNegativeFloat
    link: Share
    pcie_all_reduce_s: NonNegativeFloat
    latent_s: NonNegativeFloat
    sequence_s: NonNegativeFloat
    crowding: NonNegativeFloat


class Release(Section):
    """What the engine takes beside the GPU's work, from a release on."""

    since: str
    step_s: NonNegativeFloat
    request_s: NonNegativeFloat
    uncaptured: PositiveFloat


class Processor(Section):
    """What a processor reaches."""

    compute: Share
    layer_s: NonNegativeFloat


class Efficiencies(Section):
    """All of them, as the file holds them."""

    everywhere: Everywhere
    generations: dict[str, Generation]
    unknown: str
    releases: list[Release]
    processor: Processor

    def generation(self, gpu: Gpu) -> Generation:
        """The figures of a GPU's generation; where it was not measured, of the nearest before it."""
        if gpu.capability is None:
            return self.generations[self.unknown]
        known = sorted(self.generations.values(), key=lambda each: each.capability)
        before = [each for each in known if each.capability <= gpu.capability]
        return before[-1] if before else known[0]

    def release(self, version: str | None) -> Release:
        """The figures of a release of vLLM; of the newest where none is named."""
        if version is None:
            return self.releases[-1]
        asked = release_numbers(version)
        before = [each for each in self.releases if release_numbers(each.since) <= asked]
        return before[-1] if before else self.releases[0]


@cache
def efficiencies() -> Efficiencies:
    """The file's content."""
    return Efficiencies.model_validate(read_yaml(_FILE))
