"""The times of one replica on GPUs: every kernel reads, computes and is launched, one after the other.

    kernel = bytes / (bandwidth x share) + operations / (compute x share)
    step   = kernels + launches of each block + all-reduces + the engine's own work

The roofline model (Williams, Waterman, Patterson, "Roofline", 2009) takes the larger of reading and computing; their
sum fits measured steps better, as small batches fill neither the memory's queues nor the matrix units. What stages of
pipeline parallelism send each other, one hidden state a token, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from shipfit.hardware import Gpu
from shipfit.sizing.settings import Settings
from shipfit.sizing.speed.efficiencies import Efficiencies, Generation, KernelKind
from shipfit.sizing.speed.work import Matrices, Work

_RATES: dict[KernelKind, tuple[str, ...]] = {
    "wide": ("bf16", "fp16"),
    "weight-only": ("bf16", "fp16"),
    "fp8": ("fp8",),
    "fp8-block": ("fp8",),
    "int8": ("int8",),
    "fp4": ("fp4",),
}
"""The formats whose compute rate counts, the first that the GPU has."""
_SOME = 1e-9
"""Stands for no expert that a token leaves out."""
_ROUNDING = 1e-9
"""Share of a step that a full one must not take in by mere rounding."""


class GpuTimes:
    """The times of one replica, from constants that are worked out once.

    Args:
        work: what a step has to do.
        gpu: where.
        settings: how the replica is split and started.
        budget: tokens that a step takes in.
        known: what real kernels reach.
    """

    def __init__(self, work: Work, gpu: Gpu, settings: Settings, budget: int, known: Efficiencies) -> None:
        own, everywhere = known.generation(gpu), known.everywhere
        release = known.release(settings.version)
        bandwidth = gpu.bandwidth_gb_s * 1e9
        wide = _rate(gpu, "wide")
        self.request_s, self.crowding = release.request_s, everywhere.crowding
        self._stages, self.budget = settings.pipeline, budget
        self._evenness = everywhere.experts_evenness
        self._touches = -math.log(max(work.idle, _SOME)) / self._evenness
        self._attention, self._spread = work.attention, work.expert_spread
        self._cache_byte_s = 1 / (bandwidth * everywhere.cache_reading)
        self._score_s = 1 / (wide * everywhere.cache_attention)
        self._pair_s = 1 / (wide * own.attention)

        dense_read, dense_token = _kernels(work.dense, gpu, own)
        head_read, head_token = _kernels(work.head, gpu, own)
        expert_read, expert_token = _kernels(work.experts, gpu, own)
        narrow = 1 + everywhere.narrow_reading / work.expert_width
        self._experts_s = expert_read / own.experts_reading * narrow
        expert_token *= (1 + everywhere.narrow_computing / work.expert_width) / own.experts_computing
        fused = any(each.kernel == "fp4" for each in work.experts)
        routing_s = everywhere.fused_experts_s if fused else everywhere.experts_s
        meet_s, send_s = _all_reduce(gpu, settings.tensor, own, known)

        self._fixed_s = (
            dense_read
            + head_read
            + work.blocks * own.block_s
            + work.expert_layers * routing_s
            + work.latent_layers * everywhere.latent_s
            + work.reductions * meet_s
            + release.step_s
        )
        self._token_s = dense_token + expert_token + work.reductions * work.reduced_bytes * send_s
        self._sequence_s = head_token + everywhere.sequence_s
        self._uncaptured_s = work.blocks * own.uncaptured_s * release.uncaptured
        if settings.eager:
            self._fixed_s += self._uncaptured_s
            self._uncaptured_s = 0.0

    def step_s(self, batch: float, context: float) -> float:
        """Seconds of a decoding step; with pipeline parallelism, through all stages, which share the batch.

        Args:
            batch: requests in flight.
            context: tokens that each looks back at.
        """
        own = batch / self._stages
        if 0 < own < 1:
            own = 1.0
        looking = sum(
            (each.reach(context) * each.token_bytes + each.state_bytes) * self._cache_byte_s
            + each.reach(context) * each.operations * self._score_s
            for each in self._attention
        )
        return self._fixed_s + self._touched_s(own) + own * (self._token_s + self._sequence_s + looking)

    def added_s(self, tokens: float, beside: float, together: float = 1) -> float:
        """Seconds that a prompt adds to steps that decode anyway.

        Args:
            tokens: of the prompt.
            beside: requests that are decoding.
            together: prompts that the same steps take in, this one among them.
        """
        return self._prompt_s(tokens, beside, together) / self._stages

    def prefill_s(self, tokens: float, beside: float = 0, context: float = 0) -> float:
        """Seconds from the first step that takes in a prompt to its first token.

        Args:
            tokens: of the prompt.
            beside: requests that are decoding.
            context: tokens that each of those looks back at.
        """
        chunks = self._chunks(tokens, beside)
        whole = chunks * self.step_s(beside, context) + self._prompt_s(tokens, beside)
        # one chunk passes all stages; the others follow it, stages work on them at the same time
        longest = min(self._room(beside) / tokens, 1.0)
        return whole * (longest + (1 - longest) / self._stages)

    def _prompt_s(self, tokens: float, beside: float, together: float = 1) -> float:
        """Seconds that a prompt adds in all stages: reading weights is shared with what else the steps take in."""
        chunks = self._chunks(tokens * together, beside)
        others = beside / self._stages
        touched = self._touched_s(tokens * together / chunks + others) - self._touched_s(others)
        looking = sum(each.pairs(tokens) * each.pair_operations for each in self._attention) * self._pair_s
        shared = chunks * (self._uncaptured_s + touched) / together
        return shared + tokens * self._token_s + self._sequence_s + looking

    def _chunks(self, tokens: float, beside: float) -> int:
        return max(1, math.ceil(tokens / self._room(beside) - _ROUNDING))

    def _room(self, beside: float) -> float:
        """Tokens of prompts that a step takes in beside decoding ones, which come first."""
        return max(self.budget - beside, 1)

    def _touched_s(self, tokens: float) -> float:
        """Seconds to read the experts that any of so many tokens passes through.

        Were all experts as likely, each would be left out by exp(-touches); likelihoods that are spread by a gamma
        distribution of this shape make a power of it (Greenwood, Yule, 1920).
        """
        share = 1 - (1 + self._touches * tokens) ** -self._evenness
        fullest = share + self._spread * math.sqrt(share * (1 - share))
        return float(self._experts_s * min(fullest, 1.0))


def _kernels(matrices: Iterable[Matrices], gpu: Gpu, own: Generation) -> tuple[float, float]:
    """Seconds to read all of them, and to compute one token."""
    reading = computing = 0.0
    for each in matrices:
        share = own.kernels[each.kernel]
        reading += each.bytes / (gpu.bandwidth_gb_s * 1e9 * share.reading)
        computing += each.operations / (_rate(gpu, each.kernel) * share.computing)
    return reading, computing


def _rate(gpu: Gpu, kernel: KernelKind) -> float:
    """Operations a second by the label."""
    rates = {str(name): rate for name, rate in gpu.tflops.items()}
    names = [name for name in _RATES[kernel] if name in rates]
    return (rates[names[0]] if names else max(rates.values())) * 1e12


def _all_reduce(gpu: Gpu, tensor: int, own: Generation, known: Efficiencies) -> tuple[float, float]:
    """Seconds until all GPUs meet, and seconds a byte.

    A ring sends 2 (n-1)/n of the data each way (Patarasuk, Yuan, "Bandwidth optimal all-reduce", 2009); the label
    counts both ways together.
    """
    if tensor == 1 or gpu.link is None:
        return 0.0, 0.0
    everywhere = known.everywhere
    meet = everywhere.pcie_all_reduce_s if gpu.link.kind == "pcie" else own.all_reduce_s
    return meet, 2 * (tensor - 1) / tensor / (gpu.link.gb_s / 2 * 1e9 * everywhere.link)
