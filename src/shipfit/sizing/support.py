"""What rules a configuration out whatever the memory: the hardware, the kernels, the split, the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from shipfit.hardware import Gpu
from shipfit.models import CacheKind, ModelFacts, Split, Weight
from shipfit.precision import FP8_KV_CACHE, Layout, Matrix, Scheme, choose
from shipfit.sizing.memory.shards import VOCABULARY_MULTIPLE, kv_heads_per_gpu, weight_format
from shipfit.sizing.settings import Settings
from shipfit.spec.precision import Precision

_NOT_IN_FP16 = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
"""Model types that vLLM refuses in fp16, whose range their activations leave (vllm/config/model.py of 0.32.0,
_FLOAT16_NOT_SUPPORTED_MODELS)."""


def refusals(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings) -> list[str]:
    """Every reason against a configuration that is not memory; empty where vLLM serves it.

    Args:
        facts: the model.
        gpu: the kind of GPU, or this machine's processor.
        scheme: how the weights are stored.
        settings: how the replica is split and started.

    Raises:
        InputError: ``settings.version`` is not a release.
    """
    found = [
        *_of_checkpoint(facts, scheme),
        *_of_range(facts, scheme),
        *_of_gpu(facts, gpu, scheme, settings),
        *_of_split(facts, gpu, settings),
    ]
    if not found:
        found = list(_of_kernels(facts, gpu, scheme, settings))
    found += [*_of_kv_cache(facts, gpu, settings), *_of_context(facts, settings)]
    return list(dict.fromkeys(found))


def notes(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings) -> list[str]:
    """What the user should know of how a configuration is served, such as that FP8 is weights alone on Ampere.

    Args:
        facts: the model.
        gpu: the kind of GPU, or this machine's processor.
        scheme: how the weights are stored.
        settings: how the replica is split and started.
    """
    kernels = [
        choose(layout, gpu, settings.version, matrix).kernel
        for layout, matrix in _matrices(facts, scheme, settings)
    ]
    return list(dict.fromkeys(kernel.note for kernel in kernels if kernel and kernel.note))


def _of_checkpoint(facts: ModelFacts, scheme: Scheme) -> Iterator[str]:
    """A checkpoint that is quantized is served as it is: nothing makes another precision of it."""
    if facts.quantization and facts.quantization.precision != scheme.name:
        own = facts.quantization.precision
        own = own or f"{facts.quantization.method}, which shipfit has no precision for"
        yield f"the checkpoint is quantized already ({own}) and cannot be served in {scheme.name}"


def _of_range(facts: ModelFacts, scheme: Scheme) -> Iterator[str]:
    if scheme.name is Precision.FP16 and facts.model_type in _NOT_IN_FP16:
        yield f"vLLM does not serve {facts.model_type} in fp16, where it is numerically unstable"


def _of_gpu(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings) -> Iterator[str]:
    if reason := choose(_layout(facts, scheme), gpu, settings.version).reason:
        yield reason
    if gpu.part_of and settings.gpus > 1:
        yield f"{gpu.name} is a part of a GPU, and parts cannot reach each other: one GPU a replica"


def _of_split(facts: ModelFacts, gpu: Gpu, settings: Settings) -> Iterator[str]:
    """Why vLLM cannot divide the model between the GPUs (vllm/config/model.py, verify_with_parallel_config)."""
    if settings.pipeline > facts.layers:
        yield f"{settings.pipeline} pipeline stages are more than the model's {facts.layers} layers"
    gpus = settings.tensor
    if gpus == 1 or gpu.cpu:
        return
    attention = [cache for cache in facts.caches if cache.kind is not CacheKind.STATE]
    for heads in dict.fromkeys([facts.heads, *(cache.heads for cache in attention)]):
        if heads % gpus:
            yield f"{gpus} GPUs do not divide {heads} attention heads"
    for kv_heads in dict.fromkeys(cache.kv_heads for cache in attention if cache.kv_heads):
        if kv_heads % gpus and gpus % kv_heads:
            yield f"{gpus} GPUs and {kv_heads} KV heads do not divide each other"
    if -(-facts.vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE % gpus:
        yield f"{gpus} GPUs do not divide the vocabulary of {facts.vocabulary:,}, padded to {VOCABULARY_MULTIPLE}s"
    for weight in facts.weights:
        if weight.split is Split.INPUTS and weight.columns % gpus and not _whole(weight, settings):
            yield f"{gpus} GPUs do not divide {weight.name} ({weight.columns} inputs)"


def _of_kernels(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings) -> Iterator[str]:
    for layout, matrix in _matrices(facts, scheme, settings):
        if reason := choose(layout, gpu, settings.version, matrix).reason:
            yield reason


def _of_kv_cache(facts: ModelFacts, gpu: Gpu, settings: Settings) -> Iterator[str]:
    asked = facts.quantization.kv_cache if facts.quantization else None
    if "fp8" in (settings.kv_cache, asked):
        reason = choose(Layout(FP8_KV_CACHE), gpu, settings.version).reason
        if reason:
            yield reason


def _of_context(facts: ModelFacts, settings: Settings) -> Iterator[str]:
    if settings.context and settings.context > facts.max_position_embeddings:
        limit = facts.max_position_embeddings
        yield f"a context of {settings.context:,} exceeds the model's {limit:,}"


def _layout(facts: ModelFacts, scheme: Scheme) -> Layout:
    """The layout of the checkpoint at hand where it is quantized, else that of the scheme."""
    own = facts.quantization
    if own is None:
        return scheme.layout
    return replace(
        scheme.layout,
        group=own.group or scheme.group,
        symmetric=own.symmetric,
        act_order=own.act_order,
        method=own.method,
    )


def _matrices(facts: ModelFacts, scheme: Scheme, settings: Settings) -> Iterator[tuple[Layout, Matrix]]:
    """The quantized matrices as each GPU holds them; those that the engine makes one of, as one."""
    if scheme.bits >= 16:
        return
    base = _layout(facts, scheme)
    # of another format than the precision's: those have kernels of their own, which always fit
    stored = [
        (weight, how)
        for weight in facts.weights
        if weight.columns > 1 and (how := weight_format(facts, weight, scheme)) and how.bits == scheme.bits
    ]
    stored.sort(key=lambda pair: _key(pair[0]))
    for _, members in groupby(stored, key=lambda pair: _key(pair[0])):
        weights, formats = zip(*members, strict=True)
        layout = replace(base, group=formats[0].group, block_rows=formats[0].block_rows)
        yield layout, _matrix(facts, weights, settings)


def _key(weight: Weight) -> tuple[str, tuple[int, ...]]:
    """What tells matrices apart: members of a fused one have the same."""
    if weight.fused is None or "." in weight.fused:
        return weight.fused or weight.name, weight.layers
    return f"{weight.name.rpartition('.')[0]}.{weight.fused}", weight.layers


def _matrix(facts: ModelFacts, weights: Iterable[Weight], settings: Settings) -> Matrix:
    members = list(weights)
    first, tensor = members[0], settings.tensor
    split = first.split is not Split.NONE and not _whole(first, settings)
    return Matrix(
        name=_key(first)[0],
        rows=tuple(
            _rows(facts, weight, settings)
            for weight in members
            for _ in range(1 if weight.active else weight.each)
        ),
        columns=first.columns // tensor if split and first.split is Split.INPUTS else first.columns,
        gpus=tensor if split else 1,
        by_columns=first.split is Split.INPUTS,
        experts=first.active is not None,
    )


def _rows(facts: ModelFacts, weight: Weight, settings: Settings) -> int:
    if _whole(weight, settings) or weight.split in (Split.NONE, Split.INPUTS):
        return weight.rows
    if weight.split is Split.KV_HEADS:
        kv_heads = weight.kv_heads or facts.kv_heads
        return weight.rows // kv_heads * kv_heads_per_gpu(kv_heads, settings.tensor)
    return -(-weight.rows // settings.tensor)


def _whole(weight: Weight, settings: Settings) -> bool:
    """Whether each GPU has some experts whole instead of a part of each."""
    return settings.expert_parallel and weight.active is not None
