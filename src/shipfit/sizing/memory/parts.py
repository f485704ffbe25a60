"""The memory of one GPU: weights, activations, CUDA graphs, everything outside of PyTorch, and what is left for KV.

    utilization x usable = weights + activation + non-torch + CUDA graphs + KV cache

as vLLM computes it when it starts (vllm/v1/worker/gpu_worker.py, determine_available_memory). Releases before 0.21
leave the graphs out of the sum; they then take what utilization left aside.
"""

from __future__ import annotations

from shipfit.core.units import GIB
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing.memory.activation import activation
from shipfit.sizing.memory.graphs import cuda_graphs
from shipfit.sizing.memory.term import Term
from shipfit.sizing.memory.weights import weight_bytes
from shipfit.sizing.releases import Release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start


def terms(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings, start: Start) -> tuple[Term, ...]:
    """Everything but the KV cache, of one GPU.

    Args:
        facts: the model.
        gpu: the kind of GPU, or this machine's processor.
        scheme: how the weights are stored.
        settings: how the model is split.
        start: what vLLM makes of the settings.
    """
    return (
        _weights(facts, gpu, scheme, settings),
        *activation(facts, gpu, settings, start),
        *cuda_graphs(facts, gpu, scheme, settings, start),
        *_non_torch(gpu, settings, start.release),
    )


def _weights(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings) -> Term:
    split = f", one of {settings.tensor} parts" if settings.tensor > 1 else ""
    stages = f", the fullest of {settings.pipeline} stages" if settings.pipeline > 1 else ""
    return Term(
        "weights",
        "weights",
        weight_bytes(facts, scheme, settings, gpu.capability) / GIB,
        f"{facts.parameters:,} parameters in {scheme.name}{split}{stages}",
        facts.source,
    )


def _non_torch(gpu: Gpu, settings: Settings, release: Release) -> tuple[Term, ...]:
    """What lies outside of PyTorch: CUDA's context, communication buffers; on a processor, vLLM's processes."""
    source = "start-up logs, see sizing/releases.yaml"
    if gpu.cpu:
        return (Term("non_torch", "processes", release.cpu_processes_gib, "three processes", source),)
    context = release.context_gib if release.runs_v1(gpu) else release.v0_context_gib
    found = [Term("non_torch", "CUDA context", context, "one process", source)]
    if settings.gpus > 1:
        more = settings.gpus - 2
        found.append(
            Term(
                "non_torch",
                "communication",
                release.parallel_gib + more * release.parallel_each_gib,
                f"{release.parallel_gib} GiB + {more} GPUs beyond two x {release.parallel_each_gib} GiB",
                source,
            )
        )
    if release.fused_all_reduce_gib and _fuses_all_reduce(gpu, settings):
        found.append(
            Term(
                "non_torch",
                "fused all-reduce",
                release.fused_all_reduce_gib,
                f"{release.fused_all_reduce_gib} GiB with NVLink",
                "vllm/config/vllm.py, enable_allreduce_rms_fusion",
            )
        )
    return tuple(found)


def _fuses_all_reduce(gpu: Gpu, settings: Settings) -> bool:
    """Whether all-reduce and the norm after it are one kernel: tensor parallel on Hopper and data centre Blackwell."""
    linked = gpu.link is not None and gpu.link.kind in ("nvlink", "nvswitch")
    capable = gpu.capability is not None and (gpu.capability == 9.0 or 10 <= gpu.capability < 11)
    return settings.tensor > 1 and settings.pipeline == 1 and linked and capable
