"""One configuration: how much of everything one GPU holds, and whether that is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shipfit.core.units import GIB
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing.memory import parts
from shipfit.sizing.memory.graphs import probe_blocks
from shipfit.sizing.memory.kv_cache import KvCache, kv_cache, kv_format
from shipfit.sizing.memory.term import Term, total_gib
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start, start
from shipfit.sizing.support import refusals


@dataclass(frozen=True)
class Sizing:
    """The memory of each GPU of a replica.

    Attributes:
        usable_gib: what vLLM may take, GiB: the GPU's memory times the utilization.
        weights_gib: weights with scales, GiB.
        activation_gib: peak of a step's intermediate results, GiB.
        cuda_graph_gib: captured CUDA graphs, GiB.
        non_torch_gib: what lies outside of PyTorch, GiB; on a processor, vLLM's processes.
        kv_cache_gib: what is left for the KV cache, GiB; on a processor, what is set aside for it. Below zero: missing.
        graphs_beside: whether the release leaves CUDA graphs out of what it may take.
        kv_cache_tokens: tokens that the KV cache holds, as vLLM counts and prints them.
        max_concurrency: requests of the full context that fit at once.
        block_tokens: tokens of a block of the KV cache; of the smallest, where layers differ.
        max_model_len: tokens of a request.
        max_num_seqs: requests that a step takes in.
        max_num_batched_tokens: tokens that a step takes in.
        fits: whether vLLM starts, and holds the concurrency that was asked for.
        reasons: why, or why not; the first is the one that decides.
        terms: every part, with the formula and the figures that it came from.
    """

    usable_gib: float
    weights_gib: float
    activation_gib: float
    cuda_graph_gib: float
    non_torch_gib: float
    kv_cache_gib: float
    graphs_beside: bool
    kv_cache_tokens: int
    max_concurrency: float
    block_tokens: int
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    fits: bool
    reasons: tuple[str, ...]
    terms: tuple[Term, ...]

    @property
    def without_kv_gib(self) -> float:
        """GiB of everything but the KV cache in what vLLM may take."""
        graphs = 0.0 if self.graphs_beside else self.cuda_graph_gib
        return self.weights_gib + self.activation_gib + graphs + self.non_torch_gib


@dataclass(frozen=True)
class _Room:
    """What is asked of a GPU, and what it has.

    Attributes:
        gpu: the kind.
        parts: everything but the KV cache.
        usable: GiB that vLLM may take.
        whole: GiB that there are.
        start: how the replica runs.
        cache: the layout of the KV cache.
        concurrency: requests that must fit at once, if that was asked.
        probe: blocks that the estimate of CUDA graphs takes.
    """

    gpu: Gpu
    parts: tuple[Term, ...]
    usable: float
    whole: float
    start: Start
    cache: KvCache
    concurrency: int | None
    probe: int

    def gib(self, part: str) -> float:
        """GiB of one part."""
        return sum(term.gib for term in self.parts if term.part == part)

    @property
    def beside(self) -> bool:
        """Whether the release leaves CUDA graphs out of ``usable``."""
        return not self.start.release.graphs_subtracted

    @property
    def taken(self) -> float:
        """GiB of ``usable`` that the KV cache does not get."""
        return total_gib(self.parts) - (self.gib("cuda_graph") if self.beside else 0.0)

    @property
    def left(self) -> float:
        """GiB left for the KV cache; below zero: missing."""
        return self.usable - self.taken

    @property
    def kv_gib(self) -> float:
        """GiB of the KV cache: what is left; vLLM's CPU build is told whole GiB instead (VLLM_CPU_KVCACHE_SPACE)."""
        wanted = (self.concurrency or 1) * self.cache.request_bytes / GIB
        return float(max(1, math.ceil(wanted))) if self.gpu.cpu else self.left

    @property
    def blocks(self) -> int:
        """Blocks of the KV cache."""
        return self.cache.blocks(min(self.kv_gib, self.left) * GIB)


def size(
    facts: ModelFacts,
    gpu: Gpu,
    scheme: Scheme,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    concurrency: int | None = None,
    sharers: int = 1,
) -> Sizing:
    """Size one replica.

    Args:
        facts: the model.
        gpu: the kind of GPU, or this machine's processor.
        scheme: how the weights are stored.
        settings: how the replica is split and started.
        concurrency: requests that must fit at once; by default as many as do, at least one.
        sharers: replicas that share a processor's memory.

    Raises:
        InputError: the version in the settings is not known.
    """
    begun = start(facts, gpu, settings)
    utilization = settings.utilization or begun.release.gpu_memory_utilization
    room = _Room(
        gpu=gpu,
        parts=parts.terms(facts, gpu, scheme, settings, begun),
        usable=gpu.memory_gib * utilization / sharers,
        whole=gpu.memory_gib / sharers,
        start=begun,
        cache=kv_cache(facts, gpu, settings, begun),
        concurrency=concurrency,
        probe=probe_blocks(gpu, settings, begun),
    )
    held = room.cache.concurrency(room.blocks)
    reasons = refusals(facts, gpu, scheme, settings) + _memory_reasons(room)
    return Sizing(
        usable_gib=room.usable,
        weights_gib=room.gib("weights"),
        activation_gib=room.gib("activation"),
        cuda_graph_gib=room.gib("cuda_graph"),
        non_torch_gib=room.gib("non_torch"),
        kv_cache_gib=room.kv_gib,
        graphs_beside=room.beside,
        kv_cache_tokens=room.cache.tokens(room.blocks),
        max_concurrency=held,
        block_tokens=room.cache.block_tokens,
        max_model_len=begun.context,
        max_num_seqs=begun.sequences,
        max_num_batched_tokens=begun.tokens,
        fits=not reasons,
        reasons=tuple(reasons) or (_fitting(room),),
        terms=(*room.parts, _kv_term(facts, settings, room)),
    )


def _memory_reasons(room: _Room) -> list[str]:
    """Why memory is not enough; empty where it is."""
    name, weights = room.gpu.name, room.gib("weights")
    if weights > room.usable:
        return [f"weights of {weights:.1f} GiB exceed the {room.usable:.1f} GiB usable on {name}"]
    if room.left <= 0:
        return [
            f"{room.taken:.1f} GiB without any KV cache exceed the {room.usable:.1f} GiB usable on {name}"
        ]
    if room.gpu.cpu and room.left < room.kv_gib:
        return [
            f"a KV cache of {room.kv_gib:.0f} GiB is asked for and {room.left:.1f} GiB are left on {name}"
        ]
    return _graph_reasons(room) or _cache_reasons(room)


def _graph_reasons(room: _Room) -> list[str]:
    """Why capturing CUDA graphs runs out of memory."""
    graphs, name = room.gib("cuda_graph"), room.gpu.name
    probe = room.probe * room.cache.block_bytes / GIB
    needed = room.gib("weights") + room.gib("non_torch") + graphs + probe
    if room.probe and needed > room.whole:
        return [
            f"vLLM estimates CUDA graphs with {room.probe} blocks of KV cache, {probe:.1f} GiB, and runs out of the "
            f"{room.whole:.1f} GiB on {name}: lower max_num_seqs or switch the graphs off"
        ]
    free = room.whole - room.usable + room.gib("activation")
    if room.beside and graphs > free:
        return [
            f"CUDA graphs of {graphs:.1f} GiB exceed the {free:.1f} GiB that utilization leaves on {name}"
        ]
    return []


def _cache_reasons(room: _Room) -> list[str]:
    """Why the KV cache is too small."""
    cache, held = room.cache, room.cache.concurrency(room.blocks)
    block = cache.model_block_bytes if room.start.release.whole_model_checked else cache.block_bytes
    # one block is never given to a request (vllm/v1/core/block_pool.py, null_block)
    request = (cache.request_blocks + 1) * block / GIB
    if request > room.left:
        return [
            f"a request of {cache.context:,} tokens takes {request:.2f} GiB of KV cache "
            f"and {room.left:.2f} GiB are left"
        ]
    if room.concurrency and room.start.sequences < room.concurrency:
        return [
            f"vLLM takes in {room.start.sequences:,} requests at once (max_num_seqs), and {room.concurrency:,} are "
            "asked for"
        ]
    if room.concurrency and held < room.concurrency:
        return [
            f"the KV cache of {room.left:.1f} GiB holds {held:.1f} requests of {cache.context:,} tokens at once, "
            f"and {room.concurrency} are asked for"
        ]
    return []


def _fitting(room: _Room) -> str:
    held = room.cache.concurrency(room.blocks)
    return (
        f"of {room.usable:.1f} GiB usable on {room.gpu.name}, weights take {room.gib('weights'):.1f} and the KV cache "
        f"{room.kv_gib:.1f}: {held:.1f} requests of {room.cache.context:,} tokens at once"
    )


def _kv_term(facts: ModelFacts, settings: Settings, room: _Room) -> Term:
    cache = room.cache
    return Term(
        "kv_cache",
        "KV cache",
        room.kv_gib,
        f"{room.blocks:,} blocks x {cache.block_bytes:,.0f} bytes in {kv_format(facts, settings, room.start.release)}; "
        f"a request takes {cache.request_blocks:,}",
        "vllm/v1/core/kv_cache_utils.py",
    )
