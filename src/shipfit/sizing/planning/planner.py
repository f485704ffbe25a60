"""The rule: the least aggressive precision that the hardware allows for the promise, at the least cost.

Levels of precision are tried from 16 bits down, each first with the checkpoint's own KV cache and then with an 8-bit
one; for each, every kind of GPU at hand and every split of a replica between them. The first level with an option
that holds the promise is chosen, and of its options the cheapest: by the user's prices, else by the GB of GPU memory
that are taken. Ties go to the simplest. Pure: the facts come in, the plan goes out, and whoever called says it.
"""

from __future__ import annotations

from collections.abc import Sequence

from shipfit.models import ModelFacts
from shipfit.sizing.planning import reasons
from shipfit.sizing.planning.choose import choose
from shipfit.sizing.planning.cost import Prices, token_cost
from shipfit.sizing.planning.examine import replica_of, seats_of
from shipfit.sizing.planning.options import Pool, levels
from shipfit.sizing.planning.plan import Cost, Memory, Plan, PredictedSpeed
from shipfit.sizing.planning.task import Task, Verdict
from shipfit.sizing.planning.terms import terms
from shipfit.sizing.releases import release
from shipfit.sizing.speed import max_rate
from shipfit.spec import Deployment
from shipfit.spec.base import API_VERSION


def make_plan(
    deployment: Deployment, facts: ModelFacts, pools: Sequence[Pool], prices: Prices | None = None
) -> Plan:
    """Choose precision, GPUs and replicas for a deployment.

    Args:
        deployment: what was promised, and what the user has pinned.
        facts: the model.
        pools: the GPUs at hand; order breaks ties.
        prices: the user's, of every kind of GPU at hand; None where there are none.

    Raises:
        VerdictError: nothing holds the promise; says the first reason against each of the likeliest options.
    """
    task = Task(deployment, facts, pools, prices)
    ruled = levels(facts, None, deployment.kv_cache_dtype)
    by_rule = choose(task, ruled)
    choice = by_rule
    if deployment.precision:
        choice = choose(task, levels(facts, deployment.precision, deployment.kv_cache_dtype))
    chosen = choice.chosen
    if chosen is None:
        raise reasons.nothing(task, choice.others)
    plan = _document(task, chosen)
    return plan.model_copy(
        update={
            "reasons": reasons.why(task, chosen, by_rule.chosen),
            "rejected": reasons.rejected(task, choice, ruled),
        }
    )


def _document(task: Task, chosen: Verdict) -> Plan:
    option, sizing, deployment = chosen.option, chosen.sizing, task.deployment
    assert sizing is not None  # noqa: S101 - what holds the promise was sized
    settings = option.settings(sizing.max_model_len, sizing.max_num_seqs, chosen.utilization)
    gpu, on_cpu = option.pool.gpu, bool(option.cores)
    return Plan(
        apiVersion=API_VERSION,
        name=deployment.name,
        model=deployment.model,
        precision=option.scheme.name,
        gpu=gpu.name,
        tensor_parallel=option.tensor,
        pipeline_parallel=option.pipeline,
        machines=option.machines,
        replicas=chosen.replicas,
        spare=task.spare(option),
        cores=option.cores or None,
        max_model_len=sizing.max_model_len,
        max_num_seqs=sizing.max_num_seqs,
        kv_cache_dtype=option.kv,
        gpu_memory_utilization=None if on_cpu else chosen.utilization or release().gpu_memory_utilization,
        kv_cache_gib=int(sizing.kv_cache_gib) if on_cpu else None,
        memory=Memory(
            weights_gib=round(sizing.weights_gib, 3),
            activation_gib=round(sizing.activation_gib, 3),
            cuda_graph_gib=round(sizing.cuda_graph_gib, 3),
            non_torch_gib=round(sizing.non_torch_gib, 3),
            kv_cache_gib=round(sizing.kv_cache_gib, 3),
            kv_cache_tokens=sizing.kv_cache_tokens,
            max_concurrency=round(sizing.max_concurrency, 3),
            usable_gib=round(gpu.memory_gib / (chosen.replicas if on_cpu else 1), 3),
        ),
        terms=terms(task.facts, gpu, option.scheme, settings, sizing),
        speed=_speed(task, chosen),
        cost=_cost(task, chosen),
        quality=reasons.quality(option.scheme),
        reasons=[],
        rejected=[],
    )


def _speed(task: Task, chosen: Verdict) -> PredictedSpeed | None:
    speed, sizing, workload, slo = chosen.speed, chosen.sizing, task.deployment.workload, task.deployment.slo
    if speed is None or sizing is None or workload is None:
        return None
    rate = max_rate(
        replica_of(task, chosen.option, chosen.replicas),
        workload.input_tokens,
        workload.output_tokens,
        seats_of(sizing),
        ttft_s=_seconds(slo.ttft_p95_ms),
        tpot_s=_seconds(slo.tpot_p95_ms),
        e2e_s=_seconds(slo.e2e_p95_ms),
    )
    return PredictedSpeed(
        ttft_ms=round(speed.ttft_s * 1e3, 1),
        tpot_ms=round(speed.tpot_s * 1e3, 2),
        output_tokens_per_s=round(speed.tokens_per_s, 2),
        overloaded=speed.overloaded,
        max_request_rate=round(rate * chosen.replicas, 3),
    )


def _cost(task: Task, chosen: Verdict) -> Cost | None:
    if task.prices is None:
        return None
    hour = task.cost(chosen.option, chosen.replicas)
    speed, workload = chosen.speed, task.deployment.workload
    tokens = (
        token_cost(hour, speed.tokens_per_s, workload.input_tokens, workload.output_tokens)
        if speed and workload
        else None
    )
    return Cost(
        currency=task.prices.currency,
        hour=round(hour, 4),
        million_output_tokens=round(tokens.output, 4) if tokens else None,
        million_tokens=round(tokens.total, 4) if tokens else None,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1e3
