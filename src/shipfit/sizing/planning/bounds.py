"""What rules an option out at a glance: bounds that cost little to compute, and that most options do not pass.

So a plan over many kinds of GPU takes little longer than one over few: only what is left is sized and timed.
"""

from __future__ import annotations

import math

from shipfit.core.units import GIB
from shipfit.sizing.memory.kv_cache import kv_cache
from shipfit.sizing.memory.weights import tensor_bytes
from shipfit.sizing.planning.options import LEAST_SEQUENCES, Option
from shipfit.sizing.planning.task import Task
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.speed import Replica, prefill_s, step_s
from shipfit.sizing.start import Start


def too_large(task: Task, option: Option, replicas: int, utilization: float | None) -> str | None:
    """Why weights alone, or they and the KV cache, are too much for a GPU; None where they may fit.

    Args:
        task: what is to be planned.
        option: one of its options.
        replicas: how many share the requests, at most.
        utilization: share of the memory that vLLM may take, at most; None for its default.
    """
    gpu, promise = option.pool.gpu, task.deployment.promise
    usable = gpu.memory_gib * (utilization or 1)
    settings = Settings(tensor=option.tensor, pipeline=option.pipeline)
    weights = tensor_bytes(task.facts, option.scheme, settings, gpu.capability) / GIB
    if weights > usable:
        return f"weights of {weights:.1f} GiB exceed the {usable:.1f} GiB usable on {gpu.name}"
    asked = math.ceil(promise.concurrency / replicas)
    held = (usable - weights) / _request_gib(task, option)
    if held >= asked or option.cores:
        return None
    return (
        f"beside weights of {weights:.1f} GiB there is room for {held:.1f} requests of {promise.context:,} tokens at "
        f"most, and {asked} are asked for"
    )


def too_slow_alone(task: Task, replica: Replica) -> str | None:
    """Why even a request that is alone is not answered in time; None where it may be.

    Args:
        task: what is to be planned.
        replica: one of an option.
    """
    workload, slo = task.deployment.workload, task.deployment.slo
    if workload is None:
        return None
    tokens = workload.input_tokens
    if slo.tpot_p95_ms and (tpot := step_s(replica, 1, tokens) * 1e3) > slo.tpot_p95_ms:
        return f"TPOT of a request that is alone, {tpot:.0f} ms, exceeds the limit of {slo.tpot_p95_ms:g} ms"
    if slo.ttft_p95_ms and (ttft := prefill_s(replica, tokens) * 1e3) > slo.ttft_p95_ms:
        return f"TTFT of a request that is alone, {ttft:.0f} ms, exceeds the limit of {slo.ttft_p95_ms:g} ms"
    return None


def _request_gib(task: Task, option: Option) -> float:
    """GiB of KV cache that a request of the promised context takes on a GPU, at least."""
    gpu, context = option.pool.gpu, task.deployment.promise.context
    key = gpu.capability, option.tensor, option.pipeline, option.kv
    if key not in task.shared:
        begun = Start(
            release(), context, 1, LEAST_SEQUENCES
        )  # a step of one token: no windowed layer keeps less
        layout = kv_cache(task.facts, gpu, option.settings(context, LEAST_SEQUENCES, None), begun)
        task.shared[key] = layout.request_bytes / GIB
    return task.shared[key]
