"""CUDA graphs: for which batch sizes vLLM captures one, what they take, and what the estimate of them needs."""

from __future__ import annotations

from shipfit.core.units import GIB, MIB
from shipfit.hardware import Gpu
from shipfit.models import CacheKind, ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing.memory.stages import stage_layers
from shipfit.sizing.memory.term import Term
from shipfit.sizing.releases import Release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start


def captured_sizes(largest: int, release: Release) -> int:
    """For how many batch sizes up to the largest a graph is captured (vllm/config/vllm.py, _set_cudagraph_sizes).

    Args:
        largest: batch size that a graph is captured for.
        release: of vLLM.
    """
    sizes = [1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, release.graph_stride_above_256)]
    return sum(size <= largest for size in sizes)


def largest_size(gpu: Gpu, start: Start) -> int:
    """The largest batch size that a graph is captured for."""
    if not start.release.runs_v1(gpu):
        return start.sequences
    capability = gpu.capability or 0
    most = next(each.tokens for each in start.release.graph_largest if capability >= each.capability)
    return int(min(start.release.graph_batch_factor * start.sequences, most, start.tokens))


def cuda_graphs(
    facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings, start: Start
) -> tuple[Term, ...]:
    """What the captured graphs take; nothing on a processor, and where graphs are switched off.

    Args:
        facts: the model.
        gpu: the kind of GPU.
        scheme: how the weights are stored.
        settings: how the model is split.
        start: how the replica runs.
    """
    if gpu.cpu or settings.eager:
        return ()
    mib = start.release.graph_mib
    each = mib.layer
    each += mib.quantized if scheme.bits < 16 else 0
    each += mib.experts if facts.experts else 0
    each += mib.latent if any(cache.kind is CacheKind.LATENT for cache in facts.caches) else 0
    layers = max(len(stage) for stage in stage_layers(facts.layers, settings.pipeline))
    # once in pieces, for steps that read prompts too, and once whole, for as many sequences as there may be
    largest = largest_size(gpu, start)
    limits = largest, min(largest, start.sequences)
    graphs = sum(captured_sizes(limit, start.release) for limit in limits)
    return (
        Term(
            "cuda_graph",
            "CUDA graphs",
            graphs * layers * each * MIB / GIB,
            f"{graphs} graphs x {layers} layers x {each:.3f} MiB",
            "vllm/v1/worker/gpu_model_runner.py, profile_cudagraph_memory",
        ),
    )


def probe_blocks(gpu: Gpu, settings: Settings, start: Start) -> int:
    """Blocks of KV cache that are there while vLLM captures graphs to estimate them; 0 where it does not.

    Source: vllm/v1/worker/gpu_model_runner.py, _init_minimal_kv_cache_for_profiling.
    """
    if gpu.cpu or settings.eager or start.release.graph_probe == "none":
        return 0
    largest = largest_size(gpu, start)
    return largest if start.release.graph_probe == "largest" else min(largest, start.sequences)
