"""What a step has to do on each GPU, whatever the GPU reaches: bytes to read, operations, messages.

Counted as in Pope et al., "Efficiently Scaling Transformer Inference" (arXiv:2211.05102): two operations a weight and
token, four a pair of tokens and number of a head.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from shipfit.hardware import Gpu
from shipfit.models import Cache, CacheKind, Format, ModelFacts, Weight
from shipfit.precision import Scheme, compute_format
from shipfit.sizing.memory.kv_cache import kv_format
from shipfit.sizing.memory.shards import Holder, kv_heads_per_gpu
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.speed.efficiencies import KernelKind

_WIDE_BYTES = 2
"""Bytes of a number that is not quantized."""
_FEED_FORWARD = ("feed_forward", "experts", "shared_expert", "router")
_UNFOLDING = "attention.latent_up"


@dataclass(frozen=True)
class Matrices:
    """Matrices that one kind of kernel multiplies.

    Attributes:
        kernel: which.
        bytes: of all of them, on each GPU.
        operations: of one token, on each GPU.
    """

    kernel: KernelKind
    bytes: float
    operations: float


@dataclass(frozen=True)
class Attention:
    """What the layers of one cache kind read and compute on each GPU.

    Attributes:
        token_bytes: read of the cache for each token that is looked back at.
        state_bytes: read and written a step, whatever the context.
        operations: of a decoding step, for each token that is looked back at.
        pair_operations: of a prompt, for each pair of its tokens.
        window: tokens that are looked back at, where not all are.
    """

    token_bytes: float
    state_bytes: float
    operations: float
    pair_operations: float
    window: int | None

    def reach(self, context: float) -> float:
        """Tokens that a step looks back at."""
        return min(context, self.window or context)

    def pairs(self, tokens: float) -> float:
        """Pairs of a prompt's tokens of which the later one looks at the earlier."""
        reach = self.reach(tokens)
        return reach * reach / 2 + (tokens - reach) * reach


@dataclass(frozen=True)
class Work:
    """What a step has to do on each GPU, in all stages of pipeline parallelism together.

    Attributes:
        dense: matrices that every token passes through.
        experts: those of which a token passes through a few.
        idle: share of the experts that one token leaves out.
        expert_width: inner width of an expert on each GPU.
        expert_spread: standard deviations of a random share of the experts on one GPU that the fullest one lies above
            the mean, over the square root of their number; 0 where every GPU has a part of each expert.
        head: the output head, which only tokens that are sampled pass through.
        attention: by cache kind.
        blocks: residual blocks: attention or what stands for it, and feed-forward, each counted.
        expert_layers: layers with experts.
        latent_layers: layers with latent attention.
        reduced_bytes: bytes that a token brings into each all-reduce.
        reductions: all-reduces of a step.
    """

    dense: tuple[Matrices, ...]
    experts: tuple[Matrices, ...]
    idle: float
    expert_width: float
    expert_spread: float
    head: tuple[Matrices, ...]
    attention: tuple[Attention, ...]
    blocks: int
    expert_layers: int
    latent_layers: int
    reduced_bytes: float
    reductions: int


def count_work(facts: ModelFacts, scheme: Scheme, gpu: Gpu, settings: Settings) -> Work:
    """Count what a step has to do.

    Args:
        facts: the model.
        scheme: how its weights are stored.
        gpu: decides which kernels there are; its speed does not matter here.
        settings: how the replica is split.
    """
    tensor = settings.tensor
    matrices = [weight for weight in facts.weights if weight.columns > 1 and not weight.looked_up]
    mixing = (weight for weight in matrices if not weight.name.startswith(_FEED_FORWARD))
    feeding = (weight for weight in matrices if weight.name.startswith(_FEED_FORWARD))
    blocks = len(_layers(mixing)) + len(_layers(feeding))
    routed = [weight for weight in matrices if _is_expert(weight)]
    head = [weight for weight in matrices if _is_head(facts, weight)]
    experts = facts.experts
    holder = Holder(facts, scheme, tensor, settings.expert_parallel, settings.version, gpu.capability)
    computed = compute_format(scheme, gpu, settings.version)

    def count(weights: Iterable[Weight]) -> tuple[Matrices, ...]:
        return tuple(_matrices(holder, weight, computed) for weight in weights)

    return Work(
        dense=count(weight for weight in matrices if weight not in routed and weight not in head),
        experts=count(routed),
        idle=1 - experts.per_token / experts.count if experts else 1.0,
        expert_width=experts.intermediate / (1 if settings.expert_parallel else tensor) if experts else 1.0,
        expert_spread=_spread(experts.count / tensor, tensor)
        if experts and settings.expert_parallel
        else 0.0,
        head=count(head),
        attention=tuple(_attention(facts, cache, settings) for cache in facts.caches),
        blocks=blocks,
        expert_layers=len(_layers(routed)),
        latent_layers=sum(len(each.layers) for each in facts.caches if each.kind is CacheKind.LATENT),
        reduced_bytes=facts.hidden * _WIDE_BYTES,
        reductions=blocks if tensor > 1 else 0,
    )


def kernel_kind(layout: Format | None, computed: str) -> KernelKind:
    """The kind of kernel that multiplies a matrix.

    Args:
        layout: how the matrix is stored; None: in 16 bits.
        computed: the format that quantized matrices are multiplied in; 16 bits where a GPU has no other kernel.
    """
    if layout is None or layout.bits >= 8 * _WIDE_BYTES:
        return "wide"
    if computed == "fp8":
        return "fp8-block" if layout.block_rows > 1 else "fp8"
    if computed == "int8":
        return "int8"
    return "fp4" if computed == "fp4" else "weight-only"


def _spread(experts: float, gpus: int) -> float:
    """How far the fullest of so many GPUs lies above the mean, for a share of so many experts on each.

    The expected largest of normal deviates (Blom, "Statistical estimates and transformed beta-variables", 1958).
    """
    return NormalDist().inv_cdf((gpus - 0.375) / (gpus + 0.25)) / math.sqrt(experts)


def _matrices(holder: Holder, weight: Weight, computed: str) -> Matrices:
    shard = holder.shard(weight)
    active = 1.0 if weight.active is None else weight.active / weight.each
    operations = 2 * shard.rows * shard.columns * shard.each * active * shard.layers
    return Matrices(kernel_kind(shard.layout, computed), shard.total, operations)


def _attention(facts: ModelFacts, cache: Cache, settings: Settings) -> Attention:
    tensor, layers = settings.tensor, len(cache.layers)
    number = 1 if kv_format(facts, settings, release(settings.version)) == "fp8" else _WIDE_BYTES
    heads = cache.heads / tensor
    states = sum(state.numbers * state.number_bytes for state in cache.states) / tensor
    if cache.kind is CacheKind.LATENT:
        # Decoding scores and sums the compressed vector for every head; a prompt unfolds it to heads first.
        held: float = cache.key_width
        score: float = 2 * cache.key_width
        fold = _unfolded(facts, cache)
    else:
        held = kv_heads_per_gpu(cache.kv_heads, tensor) * (cache.key_width + cache.value_width)
        score = fold = cache.key_width + cache.value_width
    return Attention(
        token_bytes=(held * number + cache.index_bytes) * layers,
        state_bytes=2 * states * layers,
        operations=2 * heads * score * layers,
        pair_operations=2 * heads * fold * layers,
        window=cache.window,
    )


def _unfolded(facts: ModelFacts, cache: Cache) -> float:
    """Width of a head's key and value together, once the compressed vector is unfolded."""
    found = (weight for weight in facts.weights if weight.name == _UNFOLDING)
    return next(
        (each.rows / cache.heads + cache.key_width - each.columns for each in found), 2 * cache.key_width
    )


def _is_expert(weight: Weight) -> bool:
    return weight.active is not None and weight.active < weight.each


def _is_head(facts: ModelFacts, weight: Weight) -> bool:
    return weight.name == ("embedding" if facts.tied else "head")


def _layers(weights: Iterable[Weight]) -> set[int]:
    return {layer for weight in weights for layer in weight.layers}
