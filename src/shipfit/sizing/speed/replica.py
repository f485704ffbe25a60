"""One replica, and how long its steps take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing.settings import Settings
from shipfit.sizing.speed.cpu_times import CpuTimes
from shipfit.sizing.speed.efficiencies import Efficiencies, efficiencies
from shipfit.sizing.speed.gpu_times import GpuTimes
from shipfit.sizing.speed.work import Work, count_work
from shipfit.sizing.start import start


class Times(Protocol):
    """How long the steps of a replica take."""

    @property
    def request_s(self) -> float:
        """Seconds from a request's arrival to its first token beyond steps: HTTP, tokens, scheduling."""

    @property
    def crowding(self) -> float:
        """Share of the other requests in flight whose prompts a new request finds before its own."""

    @property
    def budget(self) -> int:
        """Tokens that a step takes in, of prompts and of answers."""

    def step_s(self, batch: float, context: float) -> float:
        """Seconds of a decoding step."""

    def added_s(self, tokens: float, beside: float, together: float = 1) -> float:
        """Seconds that a prompt adds to steps that decode anyway, each of those that the same steps take in."""

    def prefill_s(self, tokens: float, beside: float = 0, context: float = 0) -> float:
        """Seconds from the first step that takes in a prompt to its first token."""


@dataclass(frozen=True)
class Replica:
    """What a replica consists of.

    Attributes:
        facts: the model.
        scheme: how its weights are stored.
        gpu: the kind of GPU.
        settings: how it is split and started; on a processor, ``tensor`` is its cores.
        sharers: replicas that share a processor's memory, this one among them; 1 for GPUs.
    """

    facts: ModelFacts
    scheme: Scheme
    gpu: Gpu
    settings: Settings
    sharers: int = 1

    @cached_property
    def times(self) -> Times:
        """How long its steps take."""
        return self.times_with(efficiencies())

    def times_with(self, known: Efficiencies) -> Times:
        """How long its steps take if kernels reached something else than is known of them."""
        settings = self.settings
        budget = start(self.facts, self.gpu, settings).tokens
        if cpu := self.gpu.cpu:
            return CpuTimes(
                self.work,
                self.gpu,
                cpu,
                self.scheme,
                settings.tensor,
                self.sharers,
                self.facts.layers,
                budget,
                known.processor,
            )
        return GpuTimes(self.work, self.gpu, settings, budget, known)

    @cached_property
    def work(self) -> Work:
        """What a step has to do; cores of a processor read the same memory, so that nothing is split."""
        split = replace(self.settings, tensor=1) if self.gpu.cpu else self.settings
        return count_work(self.facts, self.scheme, self.gpu, split)
