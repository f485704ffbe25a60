"""Examining one option: the fewest replicas that hold the promise, or the first reason why none do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from shipfit.sizing.planning.bounds import too_large, too_slow_alone
from shipfit.sizing.planning.options import LEAST_SEQUENCES, Option
from shipfit.sizing.planning.task import Task, Verdict
from shipfit.sizing.size import Sizing, size
from shipfit.sizing.speed import Replica, Speed, serve
from shipfit.sizing.support import refusals
from shipfit.spec import Deployment

LARGEST_UTILIZATION = 0.95
"""How much of a GPU's memory vLLM is told to take where its default is not enough. 59 start-ups of vLLM 0.19 on H100
served with it (github.com/llm-d-incubation/llm-d-planner/pull/205)."""


def examine(task: Task, option: Option) -> Verdict:
    """One option, with the fewest replicas that hold the promise.

    Args:
        task: what is to be planned.
        option: one of its options.
    """
    pinned, spare = task.deployment.replicas, task.spare(option)
    fewest, most = pinned or 1, pinned or option.room - spare
    large, small = _utilizations(task, option)
    settings = option.settings(task.deployment.promise.context, LEAST_SEQUENCES, None)
    reasons = refusals(task.facts, option.pool.gpu, option.scheme, settings)
    if reasons:
        return Verdict(option, fewest, reasons[0], possible=False)
    if reason := _no_room(task, option, fewest + spare):
        return Verdict(option, fewest + spare, reason)
    replica = replica_of(task, option, fewest)
    if reason := too_large(task, option, most, large) or too_slow_alone(task, replica):
        return Verdict(option, most, reason)
    numbers = range(fewest, most + 1)
    verdict = _fewest(lambda replicas: _try(task, option, replica, replicas, large), numbers)
    if verdict.holds and small != large:
        modest = _fewest(lambda replicas: _try(task, option, replica, replicas, small), numbers)
        if modest.holds and modest.replicas == verdict.replicas:
            return modest
    return verdict


def _utilizations(task: Task, option: Option) -> tuple[float | None, float | None]:
    """The largest and the smallest share of a GPU's memory to try; None is vLLM's default."""
    own = task.deployment.gpu_memory_utilization
    return (own, own) if own or option.cores else (LARGEST_UTILIZATION, None)


def _no_room(task: Task, option: Option, needed: int) -> str | None:
    """Why so many replicas do not find GPUs; None where they do."""
    if needed <= option.room:
        return None
    unit = "cores" if option.cores else option.pool.gpu.name
    spare = ", the spare among them," if task.spare(option) else ""
    return (
        f"{needed} replicas of {option.units}{spare} need {needed * option.units} {unit}, and "
        f"{option.pool.count} are at hand in machines of {max(option.pool.machines)}"
    )


def _fewest(attempt: Callable[[int], Verdict], numbers: Sequence[int]) -> Verdict:
    """The first number of replicas that holds the promise, by bisection: more replicas never hold less."""
    verdict = attempt(numbers[-1])
    if not verdict.holds or len(numbers) == 1:
        return verdict
    first = attempt(numbers[0])
    if first.holds:
        return first
    low, high = 0, len(numbers) - 1
    while high - low > 1:
        middle = (low + high) // 2
        tried = attempt(numbers[middle])
        if tried.holds:
            verdict, high = tried, middle
        else:
            low = middle
    return verdict


def _try(task: Task, option: Option, replica: Replica, replicas: int, utilization: float | None) -> Verdict:
    promise, workload = task.deployment.promise, task.deployment.workload
    concurrency = math.ceil(promise.concurrency / replicas)
    # the next power of two: a concurrency is a mean, arrivals cluster
    seqs = max(LEAST_SEQUENCES, 1 << (concurrency - 1).bit_length())
    settings = option.settings(promise.context, seqs, utilization)
    gpu, sharers = option.pool.gpu, replica.sharers
    sizing = size(task.facts, gpu, option.scheme, settings, concurrency=concurrency, sharers=sharers)
    refusal = None if sizing.fits else sizing.reasons[0]
    verdict = Verdict(option, replicas, refusal, utilization=utilization, sizing=sizing)
    if not sizing.fits or workload is None:
        return verdict
    lengths = workload.input_tokens, workload.output_tokens
    speed = serve(replica, replicas, workload.request_rate, *lengths, seats_of(sizing))
    return replace(verdict, speed=speed, refusal=_too_slow(task.deployment, speed))


def replica_of(task: Task, option: Option, replicas: int) -> Replica:
    """One replica of an option, as speed sees it: a processor's cores take the place of its GPUs.

    Args:
        task: what is planned.
        option: one of its options.
        replicas: how many share a processor.
    """
    settings = option.settings(task.deployment.promise.context, LEAST_SEQUENCES, None)
    if option.cores:
        settings = replace(settings, tensor=option.cores)
    return Replica(task.facts, option.scheme, option.pool.gpu, settings, replicas if option.cores else 1)


def seats_of(sizing: Sizing) -> float:
    """Requests that a replica takes in at once: what its settings allow and its KV cache holds."""
    return min(float(sizing.max_num_seqs), sizing.max_concurrency)


def _too_slow(deployment: Deployment, speed: Speed) -> str | None:
    """Why the workload is not served in time: already the mean exceeds what 95% must stay below."""
    slo, workload = deployment.slo, deployment.workload
    if speed.overloaded and workload:
        return f"{workload.request_rate:g} requests a second arrive faster than they are answered"
    whole = speed.request_s(workload.output_tokens if workload else 1)
    for name, seconds, limit in (
        ("TTFT", speed.ttft_s, slo.ttft_p95_ms),
        ("TPOT", speed.tpot_s, slo.tpot_p95_ms),
        ("a request's time", whole, slo.e2e_p95_ms),
    ):
        if limit is not None and seconds * 1e3 > limit:
            return f"{name} of {seconds * 1e3:.0f} ms on average exceeds the 95th percentile's limit of {limit:g} ms"
    return None
