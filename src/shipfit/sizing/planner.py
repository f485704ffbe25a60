"""The rule: the least aggressive precision that the hardware allows for the promise, on the fewest GPUs.

Precisions are tried from 16 bits down; for each, every kind of GPU at hand and every power of two of them. The first
precision with an option that holds the promise is chosen, and of its options the one with the fewest GPUs. Pure: the
facts come in, the plan goes out, and whoever called says it to the user.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shipfit.core.errors import VerdictError
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Scheme, schemes
from shipfit.sizing.engine import engine
from shipfit.sizing.plan import Memory, Plan, PredictedSpeed, Rejected
from shipfit.sizing.size import Sizing, size
from shipfit.sizing.speed import Replica, Speed, serve
from shipfit.spec import Deployment
from shipfit.spec.base import API_VERSION


@dataclass(frozen=True)
class Option:
    """A precision on so many GPUs of a kind, and what comes of it.

    Attributes:
        scheme: the precision.
        gpu: the kind of GPU.
        each: GPUs (on a processor: cores) a replica.
        at_hand: how many of them there are.
        replicas: how many replicas.
        sizing: the memory of one replica.
        speed: what the workload sees; None without a workload, or where memory rules the option out.
        refusal: the first reason against it; None where it holds the promise.
    """

    scheme: Scheme
    gpu: Gpu
    each: int
    at_hand: int
    replicas: int
    sizing: Sizing
    speed: Speed | None
    refusal: str | None

    @property
    def name(self) -> str:
        """As people say it: ``fp8-w8a8 on 2 x H100-SXM5-80GB``."""
        if self.gpu.cpu:
            return f"{self.scheme.name} on {self.each} core{'s' if self.each > 1 else ''}"
        return f"{self.scheme.name} on {self.each} x {self.gpu.name}"


def make_plan(deployment: Deployment, facts: ModelFacts, hardware: Sequence[tuple[Gpu, int]]) -> Plan:
    """Choose precision, GPUs and replicas for a deployment.

    Args:
        deployment: what was promised, and what the user has pinned.
        facts: the model.
        hardware: kinds of GPU at hand, with how many of each; order breaks ties.

    Raises:
        VerdictError: nothing holds the promise; says the first reason against each of the likeliest options.
    """
    options = [
        option
        for each in schemes().values()
        if each.automatic or each.name == deployment.precision
        for option in _options(deployment, facts, each, hardware)
    ]
    by_rule = _first([option for option in options if option.scheme.automatic])
    pinned = deployment.precision
    chosen = _first([option for option in options if option.scheme.name == pinned]) if pinned else by_rule
    if chosen is None:
        raise _nothing(deployment, [option for option in options if pinned in (None, option.scheme.name)])
    reasons = _reasons(deployment, facts, chosen, by_rule)
    return _document(deployment, chosen, reasons, _rejected(options, chosen, pinned=pinned is not None))


def _options(
    deployment: Deployment, facts: ModelFacts, precision: Scheme, hardware: Sequence[tuple[Gpu, int]]
) -> list[Option]:
    """Every way to serve in a precision; where a kind of GPU does not accept it, one that says so."""
    found = []
    for gpu, count in hardware:
        if gpu.cpu:
            found.append(_cpu_option(deployment, facts, precision, gpu, min(count, gpu.cpu.cores)))
            continue
        sizes = [1 << power for power in range(count.bit_length())]  # powers of two up to count
        if precision.refusal(gpu):
            sizes = sizes[:1]
        found += [_gpu_option(deployment, facts, precision, gpu, each, count) for each in sizes]
    return found


def _gpu_option(
    deployment: Deployment, facts: ModelFacts, precision: Scheme, gpu: Gpu, each: int, at_hand: int
) -> Option:
    """A number of GPUs a replica, with the fewest replicas that hold the promise."""
    most = at_hand // each
    candidates = [deployment.replicas] if deployment.replicas else range(1, most + 1)
    option = None
    for replicas in candidates:
        option = _try(deployment, facts, precision, gpu, each, at_hand, replicas)
        if option.refusal is None:
            return option
    assert option is not None  # noqa: S101 - most is at least 1, as each is at most at_hand
    return option


def _cpu_option(deployment: Deployment, facts: ModelFacts, precision: Scheme, gpu: Gpu, cores: int) -> Option:
    """On a processor replicas share the cores; one replica takes them all unless more are asked for."""
    replicas = deployment.replicas or 1
    return _try(deployment, facts, precision, gpu, max(1, cores // replicas), cores, replicas)


def _try(
    deployment: Deployment,
    facts: ModelFacts,
    precision: Scheme,
    gpu: Gpu,
    each: int,
    at_hand: int,
    replicas: int,
) -> Option:
    promise, workload = deployment.promise, deployment.workload
    concurrency = math.ceil(promise.concurrency / replicas)
    sharers = replicas if gpu.cpu else 1
    sizing = size(
        facts, gpu, precision, gpus=each, context=promise.context, concurrency=concurrency, sharers=sharers
    )
    speed = None
    refusal = None if sizing.fits else sizing.reasons[0]
    if refusal is None and replicas * each > at_hand:
        unit = "cores" if gpu.cpu else gpu.name
        refusal = f"{replicas} replicas of {each} need {replicas * each} {unit}, and {at_hand} are at hand"
    if refusal is None and workload:
        replica = Replica(facts, precision, gpu, each, sharers)
        seats = min(sizing.max_num_seqs, int(sizing.max_concurrency))
        speed = serve(
            replica, replicas, workload.request_rate, workload.input_tokens, workload.output_tokens, seats
        )
        refusal = _too_slow(deployment, speed)
    return Option(precision, gpu, each, at_hand, replicas, sizing, speed, refusal)


def _too_slow(deployment: Deployment, speed: Speed) -> str | None:
    """Why the workload is not served in time: already the mean exceeds what 95% must stay below."""
    slo = deployment.slo
    if speed.overloaded and deployment.workload:
        return f"{deployment.workload.request_rate:g} requests a second arrive faster than they are answered"
    whole = speed.ttft_s + speed.tpot_s * (
        (deployment.workload.output_tokens if deployment.workload else 1) - 1
    )
    for name, seconds, limit in (
        ("TTFT", speed.ttft_s, slo.ttft_p95_ms),
        ("TPOT", speed.tpot_s, slo.tpot_p95_ms),
        ("a request's time", whole, slo.e2e_p95_ms),
    ):
        if limit is not None and seconds * 1e3 > limit:
            return f"{name} of {seconds * 1e3:.0f} ms on average exceeds the 95th percentile's limit of {limit:g} ms"
    return None


def _first(options: Sequence[Option]) -> Option | None:
    """The rule: options come by precision; of the first precision that holds, the fewest GPUs."""
    holding = [option for option in options if option.refusal is None]
    if not holding:
        return None
    same = [option for option in holding if option.scheme is holding[0].scheme]
    return min(same, key=lambda option: option.each * option.replicas)


def _reasons(deployment: Deployment, facts: ModelFacts, chosen: Option, by_rule: Option | None) -> list[str]:
    name = chosen.scheme.name
    if deployment.precision is None:
        first = f"{name} is the least aggressive precision that holds the promise on the hardware at hand"
    elif by_rule is None:
        first = f"{name} is pinned; the rule finds none that holds the promise"
    elif by_rule.scheme is chosen.scheme:
        first = f"{name} is pinned, and the rule chooses it too"
    else:
        first = f"{name} is pinned; the rule would choose {by_rule.name}"
    reasons = [first, chosen.sizing.reasons[0]]
    if chosen.replicas > 1:
        why = "pinned" if deployment.replicas else "as few as hold the promise"
        reasons.append(f"{chosen.replicas} replicas: {why}")
    if facts.stored_bytes is None:
        reasons.append("weights are derived from the configuration; the checkpoint was not read")
    return reasons


def _rejected(options: Sequence[Option], chosen: Option, *, pinned: bool) -> list[Rejected]:
    """Every option that was not chosen, with the first reason against it; a precision that is not needed, once."""
    found: dict[str, str] = {}
    for option in options:
        if option is chosen:
            continue
        if option.refusal:
            found[option.name] = option.refusal
        elif option.scheme is chosen.scheme:
            found[option.name] = f"{chosen.name} holds the promise too, with no more GPUs"
        elif pinned:
            found[option.scheme.name] = f"deployment.precision pins {chosen.scheme.name}"
        else:
            found[option.scheme.name] = f"{chosen.scheme.name} comes before it and holds the promise"
    return [Rejected(option=option, reason=reason) for option, reason in found.items()]


def _nothing(deployment: Deployment, options: Sequence[Option]) -> VerdictError:
    """Nothing fits: the option of each precision that comes nearest, with the reason against it."""
    nearest = {option.scheme.name: option for option in sorted(options, key=_distance, reverse=True)}
    reasons = "; ".join(f"{option.name}: {option.refusal}" for option in reversed(nearest.values()))
    promise = f"{deployment.promise.concurrency} requests of {deployment.promise.context:,} tokens"
    return VerdictError(
        f"nothing at hand serves {deployment.model} with {promise} at once: {reasons}",
        hint="name more or larger GPUs under hardware, or lower promise.context or promise.concurrency",
    )


def _distance(option: Option) -> tuple[bool, float]:
    """How far an option is from serving: where memory suffices, the GPUs it takes; else the memory that is missing."""
    if option.sizing.fits:
        return False, option.each * option.replicas
    return True, -option.sizing.kv_cache_gib


def _document(deployment: Deployment, chosen: Option, reasons: list[str], rejected: list[Rejected]) -> Plan:
    sizing, speed, on_cpu = chosen.sizing, chosen.speed, chosen.gpu.cpu is not None
    return Plan(
        apiVersion=API_VERSION,
        name=deployment.name,
        model=deployment.model,
        precision=chosen.scheme.name,
        gpu=chosen.gpu.name,
        tensor_parallel=1 if on_cpu else chosen.each,
        replicas=chosen.replicas,
        cores=chosen.each if on_cpu else None,
        max_model_len=sizing.max_model_len,
        max_num_seqs=sizing.max_num_seqs,
        gpu_memory_utilization=None if on_cpu else engine().gpu_memory_utilization,
        kv_cache_gib=int(sizing.kv_cache_gib) if on_cpu else None,
        memory=Memory(
            **{
                name: round(getattr(sizing, name), 3)
                for name in Memory.model_fields
                if name != "kv_cache_tokens"
            },
            kv_cache_tokens=sizing.kv_cache_tokens,
        ),
        speed=None
        if speed is None
        else PredictedSpeed(
            ttft_ms=round(speed.ttft_s * 1e3, 1),
            tpot_ms=round(speed.tpot_s * 1e3, 2),
            output_tokens_per_s=round(speed.tokens_per_s, 2),
            overloaded=speed.overloaded,
        ),
        reasons=reasons,
        rejected=rejected,
    )
