"""The KV cache as vLLM lays it out: pages of layers, groups of layers that share a block's number, blocks of a request.

Every layer keeps a page for each block of tokens. Layers of one kind form one group where the model has no other
kind. Else all pages are made equally large, and each kind is divided into groups of equally many layers; a block is
then the pages of one group, and every group takes blocks of its own out of one pool (vllm/v1/core/kv_cache_utils.py,
get_kv_cache_groups; vllm/v1/kv_cache_interface.py). All sizes in bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from shipfit.hardware import Gpu
from shipfit.models import Cache, CacheKind, ModelFacts
from shipfit.sizing.memory.shards import kv_heads_per_gpu
from shipfit.sizing.memory.stages import stage_layers
from shipfit.sizing.memory.term import WIDE
from shipfit.sizing.releases import Release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

_ALWAYS = (CacheKind.FULL, CacheKind.LATENT)


@dataclass(frozen=True)
class Group:
    """Layers that share a block's number.

    Attributes:
        kind: what they keep.
        layers: which they are.
        pages: bytes of a block in each of them.
        block_tokens: tokens of a block; 0 for a state, which has no tokens.
        request_blocks: blocks that a request of the full context takes.
    """

    kind: CacheKind
    layers: tuple[int, ...]
    pages: tuple[float, ...]
    block_tokens: int
    request_blocks: int

    def block_bytes(self, layers: range) -> float:
        """Bytes of a block in those layers."""
        return sum(page for layer, page in zip(self.layers, self.pages, strict=True) if layer in layers)


@dataclass(frozen=True)
class KvCache:
    """The layout on one GPU; with pipeline parallelism, on one of the stage whose blocks are largest.

    Attributes:
        groups: the groups of layers, of the whole model.
        block_bytes: bytes of a block in all layers of a group on this GPU.
        model_block_bytes: the same in the whole model.
        context: tokens of a request.
        printed: how the release counts tokens, as in ``Release.tokens_printed``.
    """

    groups: tuple[Group, ...]
    block_bytes: float
    model_block_bytes: float
    context: int
    printed: str

    @property
    def block_tokens(self) -> int:
        """Tokens of a block; of the smallest, where kinds differ. 0 where there are only states."""
        return min((group.block_tokens for group in self.groups if group.block_tokens), default=0)

    @property
    def request_blocks(self) -> int:
        """Blocks that a request of the full context takes."""
        return sum(group.request_blocks for group in self.groups)

    @property
    def request_bytes(self) -> float:
        """Bytes that a request of the full context takes."""
        return self.request_blocks * self.block_bytes

    def blocks(self, cache_bytes: float) -> int:
        """Whole blocks in so many bytes."""
        return max(0, int(cache_bytes // self.block_bytes))

    def concurrency(self, blocks: int) -> float:
        """Requests of the full context that so many blocks hold, as vLLM prints it."""
        return blocks / self.request_blocks

    def tokens(self, blocks: int) -> int:
        """Tokens that so many blocks hold, as vLLM prints it."""
        if self.printed == "requests" or not self.block_tokens:
            return int(self.concurrency(blocks) * self.context)
        return blocks // len(self.groups) * self.block_tokens


@dataclass(frozen=True)
class _Layers:
    """The layers of one kind, before they are grouped."""

    kind: CacheKind
    layers: tuple[int, ...]
    token_bytes: float
    window: int = 0
    page_bytes: float = 0.0
    block_tokens: int = 0
    request_blocks: int = 0


def kv_cache(facts: ModelFacts, gpu: Gpu, settings: Settings, start: Start) -> KvCache:
    """The layout for a model.

    Args:
        facts: the model.
        gpu: the kind of GPU.
        settings: how the model is split, and the cache's number format.
        start: how the replica runs.
    """
    release, context = start.release, start.context
    in_flight = start.tokens * _batches(facts, settings, release)
    kinds = [
        replace(each, request_blocks=_request_blocks(each, release, context, in_flight))
        for each in _pages(facts, gpu, settings, release)
    ]
    groups = _groups(kinds, release.group_ratio)
    # Every group takes blocks out of the same pool: the largest group's size is a block's.
    stages = [
        max(group.block_bytes(stage) for group in groups)
        for stage in [range(facts.layers), *stage_layers(facts.layers, settings.pipeline)]
    ]
    return KvCache(groups, max(stages[1:]), stages[0], context, release.tokens_printed)


def kv_format(facts: ModelFacts, settings: Settings, release: Release) -> str:
    """The number format of the cache: ``fp8`` or ``16-bit``."""
    asked = facts.quantization.kv_cache if facts.quantization and release.checkpoint_kv_format else None
    return "fp8" if settings.kv_cache == "fp8" or asked == "fp8" else "16-bit"


def _batches(facts: ModelFacts, settings: Settings, release: Release) -> int:
    """Steps whose tokens a windowed layer holds (vllm/config/vllm.py, max_concurrent_batches)."""
    if release.in_flight_batches == 1:
        return 1
    if settings.pipeline > 1 and not release.runs_v2(facts):
        return settings.pipeline
    return settings.pipeline + release.in_flight_batches - 1


def _pages(facts: ModelFacts, gpu: Gpu, settings: Settings, release: Release) -> list[_Layers]:
    """Every kind of layers with its page, all equally large where there are several kinds."""
    wide = kv_format(facts, settings, release) == "16-bit"
    kinds = _merged([_layers(cache, settings, release, wide=wide) for cache in facts.caches])
    block = _block_tokens(facts, gpu, release)
    states = [each for each in kinds if each.kind is CacheKind.STATE]
    attention = [each for each in kinds if each.kind is not CacheKind.STATE]
    if states and attention:
        # The attention's block grows until its page is at least a state's (vllm/platforms/interface.py,
        # _align_hybrid_block_size).
        largest = max(each.page_bytes for each in states)
        token_bytes = max(each.token_bytes for each in attention)
        block *= math.ceil(largest / (block * token_bytes))
    attention = [replace(each, page_bytes=block * each.token_bytes, block_tokens=block) for each in attention]
    if all(each.kind in _ALWAYS for each in kinds):
        return attention
    page = max(each.page_bytes for each in attention + states)
    return [_widened(each, page) for each in attention + states]


def _widened(each: _Layers, page: float) -> _Layers:
    """A kind with a larger page: of more tokens where they fill it, else padded (unify_kv_cache_spec_page_size)."""
    times, rest = divmod(page, each.page_bytes)
    block = each.block_tokens * (int(times) if rest == 0 else 1)
    return replace(each, page_bytes=page, block_tokens=block)


def _layers(cache: Cache, settings: Settings, release: Release, *, wide: bool) -> _Layers:
    """The layers of a kind that keep something, and how much."""
    own = tuple(layer for layer in cache.layers if layer not in set(cache.shared_layers))
    if cache.kind is CacheKind.STATE:
        state = sum(part.numbers * part.number_bytes for part in cache.states) / settings.tensor
        return _Layers(cache.kind, own, 0.0, page_bytes=state)
    number = WIDE if wide else 1
    if cache.kind is CacheKind.LATENT:
        packed = cache.index_bytes and not wide
        token_bytes = release.sparse_fp8_bytes if packed else cache.key_width * number
    else:
        heads = kv_heads_per_gpu(cache.kv_heads, settings.tensor)
        token_bytes = heads * (cache.key_width + cache.value_width) * number
    kept = {CacheKind.SLIDING: release.windows_kept, CacheKind.CHUNKED: release.chunks_kept}.get(
        cache.kind, True
    )
    kind = cache.kind if kept else CacheKind.FULL
    window = cache.window or 0 if kept else 0
    return _Layers(kind, own, token_bytes + cache.index_bytes, window)


def _merged(kinds: list[_Layers]) -> list[_Layers]:
    """Kinds that differ in nothing but their layers, as one."""
    found: dict[tuple[object, ...], _Layers] = {}
    for each in kinds:
        if each.layers:
            same = (each.kind, each.token_bytes, each.window, each.page_bytes)
            before = found[same].layers if same in found else ()
            found[same] = replace(each, layers=tuple(sorted(before + each.layers)))
    return list(found.values())


def _block_tokens(facts: ModelFacts, gpu: Gpu, release: Release) -> int:
    """Tokens of a block, before states widen it."""
    if gpu.cpu:
        return release.cpu_block_tokens
    latent = [cache for cache in facts.caches if cache.kind is CacheKind.LATENT]
    if any(cache.index_bytes for cache in latent):
        return release.sparse_block_tokens
    if latent:
        return next(
            each.tokens for each in release.latent_block_tokens if (gpu.capability or 0) >= each.capability
        )
    return release.block_tokens


def _groups(kinds: list[_Layers], ratio: float) -> tuple[Group, ...]:
    """One group where all layers keep every token; else groups of equally many layers of one kind."""
    if all(each.kind in _ALWAYS for each in kinds):
        layers = tuple(layer for each in kinds for layer in each.layers)
        pages = tuple(each.page_bytes for each in kinds for _ in each.layers)
        return (Group(kinds[0].kind, layers, pages, kinds[0].block_tokens, kinds[0].request_blocks),)
    least, most = (pick(len(each.layers) for each in kinds) for pick in (min, max))
    size = most if most < least * ratio else least
    found = []
    for each in kinds:
        count = math.ceil(len(each.layers) / size)
        for layers in (each.layers[number::count] for number in range(count)):
            pages = (each.page_bytes,) * len(layers)
            found.append(Group(each.kind, layers, pages, each.block_tokens, each.request_blocks))
    return tuple(found)


def _request_blocks(each: _Layers, release: Release, context: int, in_flight: int) -> int:
    """Blocks of a request in one group (max_memory_usage_bytes of each kind)."""
    if each.kind is CacheKind.STATE:
        return release.state_blocks
    if each.kind is CacheKind.SLIDING:
        # a block more: the window begins anywhere in a block
        return math.ceil(min(each.window - 1 + in_flight, context) / each.block_tokens) + 1
    tokens = min(each.window + in_flight, context) if each.kind is CacheKind.CHUNKED else context
    return math.ceil(tokens / each.block_tokens)
