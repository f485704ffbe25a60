"""One configuration: how much of everything one GPU holds, and whether that is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing import memory
from shipfit.sizing.engine import Batch, engine
from shipfit.sizing.memory import GIB

LEAST_SEQUENCES = 8
"""Requests that vLLM is told to take in at once, at least: fewer save nothing and queue when arrivals cluster."""


@dataclass(frozen=True)
class Sizing:
    """The memory of each GPU of a replica.

    Attributes:
        weights_gib: weights with scales, GiB.
        activation_gib: peak of a step's intermediate results, GiB.
        cuda_graph_gib: captured CUDA graphs, GiB.
        non_torch_gib: what lies outside of PyTorch, GiB; on a processor, vLLM's processes.
        kv_cache_gib: what is left for the KV cache, GiB; on a processor, what is set aside for it. Below zero: missing.
        kv_cache_tokens: tokens that the KV caches of all GPUs hold together, in requests of the full context.
        max_concurrency: requests of the full context that fit at once.
        max_model_len: tokens of a request.
        max_num_seqs: requests that a step takes in.
        max_num_batched_tokens: tokens that a step takes in.
        fits: whether vLLM starts, and holds the concurrency that was asked for.
        reasons: why, or why not; the first is the one that decides.
    """

    weights_gib: float
    activation_gib: float
    cuda_graph_gib: float
    non_torch_gib: float
    kv_cache_gib: float
    kv_cache_tokens: int
    max_concurrency: float
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    fits: bool
    reasons: tuple[str, ...] = field(default=())

    @property
    def without_kv_gib(self) -> float:
        """GiB of everything but the KV cache."""
        return self.weights_gib + self.activation_gib + self.cuda_graph_gib + self.non_torch_gib


def size(
    facts: ModelFacts,
    gpu: Gpu,
    scheme: Scheme,
    *,
    gpus: int = 1,
    context: int | None = None,
    concurrency: int | None = None,
    utilization: float | None = None,
    sharers: int = 1,
) -> Sizing:
    """Size one replica.

    Args:
        facts: the model.
        gpu: the kind of GPU, or this machine's processor.
        scheme: how the weights are stored.
        gpus: tensor-parallel size; on a processor, cores.
        context: tokens of a request; the model's own limit by default.
        concurrency: requests that must fit at once; by default as many as do, at least one.
        utilization: share of the GPU's memory that vLLM may take; its own default by default.
        sharers: replicas that share a processor's memory.
    """
    context = context or facts.max_position_embeddings
    usable = gpu.memory_gib * (utilization or engine().gpu_memory_utilization) / sharers
    split = 1 if gpu.cpu else gpus
    batch = _batch(gpu, concurrency)
    cache = memory.kv_cache(facts, gpu, split, context, batch.max_num_batched_tokens)
    parts = {
        "weights_gib": memory.weight_bytes(facts, scheme, split) / GIB,
        "activation_gib": memory.activation_bytes(facts, split, batch) / GIB,
        "cuda_graph_gib": memory.cuda_graph_bytes(facts, gpu, batch) / GIB,
        "non_torch_gib": memory.non_torch_bytes(gpu, split) / GIB,
    }
    left = usable - sum(parts.values())
    wanted = (concurrency or 1) * cache.request_bytes / GIB
    # vLLM's CPU build is told whole GiB (VLLM_CPU_KVCACHE_SPACE); a GPU's cache takes all that is left.
    kv_gib = float(max(1, math.ceil(wanted))) if gpu.cpu else left
    held = max(0.0, min(kv_gib, left) if gpu.cpu else kv_gib) * GIB / cache.request_bytes
    reasons = _refusals(facts, gpu, scheme, split, context)
    reasons += _memory_reasons(gpu, parts, usable, left, kv_gib, held, cache, context, concurrency)
    return Sizing(
        **parts,
        kv_cache_gib=kv_gib,
        kv_cache_tokens=int(held * context),
        max_concurrency=held,
        max_model_len=context,
        max_num_seqs=batch.max_num_seqs,
        max_num_batched_tokens=batch.max_num_batched_tokens,
        fits=not reasons,
        reasons=tuple(reasons) or (_fitting(gpu, parts, usable, kv_gib, held, context),),
    )


def _batch(gpu: Gpu, concurrency: int | None) -> Batch:
    """The limits that vLLM sets by itself; fewer sequences where less concurrency is asked for: more room for KV."""
    own = engine().batch(gpu)
    if concurrency is None:
        return own
    wanted = (
        1 << (concurrency - 1).bit_length()
    )  # the next power of two: a concurrency is a mean, arrivals cluster
    return replace(own, max_num_seqs=min(own.max_num_seqs, max(LEAST_SEQUENCES, wanted)))


def _refusals(facts: ModelFacts, gpu: Gpu, scheme: Scheme, gpus: int, context: int) -> list[str]:
    """What rules a configuration out whatever the memory."""
    found = [
        scheme.refusal(gpu),
        memory.split_refusal(facts, scheme, gpus),
        _checkpoint_refusal(facts, scheme),
    ]
    if context > facts.max_position_embeddings:
        found.append(f"a context of {context:,} exceeds the model's {facts.max_position_embeddings:,}")
    return [reason for reason in found if reason]


def _checkpoint_refusal(facts: ModelFacts, scheme: Scheme) -> str | None:
    """A checkpoint that is quantized is served as it is: nothing makes another precision of it."""
    if facts.quantization is None or facts.quantization.precision == scheme.name:
        return None
    own = facts.quantization.precision or f"{facts.quantization.method}, which shipfit has no precision for"
    return f"the checkpoint is quantized already ({own}) and cannot be served in {scheme.name}"


def _memory_reasons(
    gpu: Gpu,
    parts: dict[str, float],
    usable: float,
    left: float,
    kv_gib: float,
    held: float,
    cache: memory.KvCache,
    context: int,
    concurrency: int | None,
) -> list[str]:
    """Why memory is not enough; empty where it is."""
    request = cache.request_bytes / GIB
    if parts["weights_gib"] > usable:
        return [f"weights of {parts['weights_gib']:.1f} GiB exceed the {usable:.1f} GiB usable on {gpu.name}"]
    if left <= 0:
        taken = sum(parts.values())
        return [f"{taken:.1f} GiB without any KV cache exceed the {usable:.1f} GiB usable on {gpu.name}"]
    if gpu.cpu and left < kv_gib:
        return [f"a KV cache of {kv_gib:.0f} GiB is asked for and {left:.1f} GiB are left on {gpu.name}"]
    if held < 1:
        return [
            f"a request of {context:,} tokens takes {request:.2f} GiB of KV cache and {left:.2f} GiB are left"
        ]
    if concurrency and held < concurrency:
        return [
            f"the KV cache of {left:.1f} GiB holds {held:.1f} requests of {context:,} tokens at once, "
            f"and {concurrency} are asked for"
        ]
    return []


def _fitting(
    gpu: Gpu, parts: dict[str, float], usable: float, kv_gib: float, held: float, context: int
) -> str:
    return (
        f"of {usable:.1f} GiB usable on {gpu.name}, weights take {parts['weights_gib']:.1f} and the KV cache "
        f"{kv_gib:.1f}: {held:.1f} requests of {context:,} tokens at once"
    )
