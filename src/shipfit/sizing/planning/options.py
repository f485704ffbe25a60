"""Every way to serve a model on what is at hand: precisions, KV formats, kinds of GPU, splits between GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shipfit.core.errors import InputError
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Precision, Scheme, scheme, schemes
from shipfit.sizing.memory.weights import stored_precision
from shipfit.sizing.settings import KvFormat, Settings

LEAST_SEQUENCES = 8
"""Requests that vLLM is told to take in at once, at least: fewer save nothing and queue when arrivals cluster."""


@dataclass(frozen=True)
class Pool:
    """GPUs of a kind that are at hand.

    Attributes:
        gpu: the kind; this machine's processor counts its cores.
        machines: how many of them each machine has.
    """

    gpu: Gpu
    machines: tuple[int, ...]

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.machines)

    def room(self, tensor: int, pipeline: int, machines: int = 1) -> int:
        """How many replicas have room.

        Args:
            tensor: GPUs that share every layer; always of one machine, since they talk twice a layer.
            pipeline: groups of them, one after the other.
            machines: that a replica spans, with as many groups on each: vLLM starts as many processes on every one
                (vllm/v1/executor/multiproc_executor.py, local_world_size).
        """
        each = tensor * pipeline // machines
        return sum(machine // each for machine in self.machines) // machines


@dataclass(frozen=True)
class Option:
    """A precision, split over so many GPUs of a kind.

    Attributes:
        scheme: the precision of the weights.
        kv: number format of the KV cache.
        pool: the GPUs it is of.
        tensor: tensor-parallel size; on a processor 1.
        pipeline: pipeline-parallel size.
        room: how many replicas have room.
        machines: that a replica spans.
        cores: on a processor, cores a replica; 0 on GPUs.
        order: which comes first where all else is equal.
    """

    scheme: Scheme
    kv: KvFormat
    pool: Pool
    tensor: int
    pipeline: int
    room: int
    machines: int = 1
    cores: int = 0
    order: int = 0

    @property
    def units(self) -> int:
        """GPUs a replica; on a processor, cores."""
        return self.cores or self.tensor * self.pipeline

    @property
    def name(self) -> str:
        """As people say it: ``bf16 on 4 x L4``, ``bf16 with fp8 KV on 8 x L4 (2 stages on 2 machines)``."""
        return f"{self.precision} on {self.place}"

    @property
    def precision(self) -> str:
        """The precision of weights and, where it is not the checkpoint's own, of the KV cache."""
        return self.scheme.name if self.kv == "auto" else f"{self.scheme.name} with {self.kv} KV"

    @property
    def place(self) -> str:
        """Where: ``4 x L4``, ``2 cores``."""
        if self.cores:
            return f"{self.cores} core{'s' if self.cores > 1 else ''}"
        spread = f" on {self.machines} machines" if self.machines > 1 else ""
        stages = f" ({self.pipeline} stages{spread})" if self.pipeline > 1 else ""
        return f"{self.units} x {self.pool.gpu.name}{stages}"

    def settings(self, context: int, max_num_seqs: int, utilization: float | None) -> Settings:
        """What one replica is started with."""
        return Settings(
            tensor=self.tensor,
            pipeline=self.pipeline,
            context=context,
            max_num_seqs=max_num_seqs,
            utilization=utilization,
            kv_cache=self.kv,
        )


@dataclass(frozen=True)
class Level:
    """Options that are as aggressive as each other; the rule takes levels in order.

    Attributes:
        schemes: the precisions; more than one only for those of 16 bits.
        kv: number format of the KV cache.
    """

    schemes: tuple[Scheme, ...]
    kv: KvFormat

    def options(self, pools: Sequence[Pool], *, across: bool, replicas: int | None) -> list[Option]:
        """Its options on what is at hand.

        Args:
            pools: the GPUs at hand; earlier ones come first where all else is equal.
            across: whether a replica may span machines.
            replicas: how many share a processor's cores; one by default.
        """
        found: list[Option] = []
        for pool in pools:
            for precision in self._on(pool.gpu):
                if pool.gpu.cpu:
                    shared = replicas or 1
                    cores = max(1, min(pool.count, pool.gpu.cpu.cores) // shared)
                    found.append(Option(precision, self.kv, pool, 1, 1, shared, cores=cores))
                else:
                    found += _splits(precision, self.kv, pool, across)
        return [replace(option, order=number) for number, option in enumerate(found)]

    def _on(self, gpu: Gpu) -> Sequence[Scheme]:
        """Of several formats the first that the GPU accepts; all where it accepts none, to say why."""
        accepted = [each for each in self.schemes if each.refusal(gpu) is None]
        return accepted[:1] or self.schemes


def levels(facts: ModelFacts, pinned: Precision | None, kv_pinned: KvFormat | None) -> list[Level]:
    """From the least to the most aggressive.

    Weights keep their precision as long as an 8-bit KV cache is enough: it is a setting of the same checkpoint and
    is undone by a restart; fewer bits of weights are another artifact that has to be made, gated and kept.

    Args:
        facts: the model; 16-bit checkpoints are served in the format they are stored in where that is possible.
        pinned: the user's precision; None for all that the rule may choose.
        kv_pinned: the user's KV format; None for both.
    """
    formats: tuple[KvFormat, ...] = (kv_pinned,) if kv_pinned else ("auto", "fp8")
    if kv_pinned is None and facts.quantization and facts.quantization.kv_cache == "fp8":
        formats = ("auto",)  # which is fp8 already
    if pinned:
        return [Level((schemes()[pinned],), kv) for kv in formats]
    stored = stored_precision(facts)
    wide = sorted(_sixteen_bits(), key=lambda each: each.name != stored)
    fewer = [
        each for each in schemes().values() if each.bits < 16 and (each.automatic or each.name == stored)
    ]
    groups = [tuple(wide), *((each,) for each in fewer)]
    return [Level(group, kv) for group in groups for kv in formats]


def served_as(facts: ModelFacts, gpu: Gpu) -> Scheme:
    """The precision that a checkpoint is served in where nobody names one: as it is stored.

    16 bits are those of the checkpoint where the GPU has them (32-bit checkpoints are taken down to 16).

    Raises:
        InputError: it is quantized in a way that has no name here.
    """
    if quantization := facts.quantization:
        if quantization.precision is None:
            raise InputError(
                f"{facts.name} is quantized by {quantization.method}, which shipfit has no precision for"
            )
        return scheme(quantization.precision)
    stored = stored_precision(facts) or Precision.BF16
    wide = sorted(_sixteen_bits(), key=lambda each: each.name != stored)
    return next((each for each in wide if each.refusal(gpu) is None), wide[0])


def _sixteen_bits() -> list[Scheme]:
    return [each for each in schemes().values() if each.bits == 16]


def _splits(precision: Scheme, kv: KvFormat, pool: Pool, across: bool) -> Iterator[Option]:
    """Powers of two; as many GPUs by tensor parallelism come before those with pipeline stages.

    A replica spans more machines only where more replicas have room then.
    """
    most = pool.count if across else max(pool.machines)
    for power in range(most.bit_length()):
        for stages in range(power + 1):
            tensor, pipeline = 1 << (power - stages), 1 << stages
            held = 0
            for machines in (1 << spread for spread in range(stages + 1 if across else 1)):
                room = pool.room(tensor, pipeline, machines)
                if room > held:
                    yield Option(precision, kv, pool, tensor, pipeline, room, machines)
                    held = room
