"""From a Deployment to its Plan: reads the facts that planning needs, and leaves the deciding to sizing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shipfit.core.errors import InputError, ShipfitError, VerdictError
from shipfit.hardware import CPU, Gpu, gpu
from shipfit.models import ModelFacts, load_facts
from shipfit.sizing import Plan, Pool, Prices, Rejected, make_plan
from shipfit.spec import Deployment, Hardware, PriceList, blame, load


def plan_deployment(
    deployment: Deployment, pools: Sequence[Pool] | None = None, prices: PriceList | None = None
) -> Plan:
    """The plan of a deployment.

    Args:
        deployment: what was promised.
        pools: the GPUs at hand; those that the deployment names by default.
        prices: what they cost; the list that the deployment names, if any, by default.

    Raises:
        InputError: the model or a GPU is not known, a GPU has no price, or the promise exceeds what the model holds.
        EnvironmentFailure: the hub or the store that the model lies in is out of reach.
        VerdictError: nothing at hand holds the promise.
    """
    with blame(deployment, "model"):
        facts = load_facts(deployment.model, deployment.folder)
    with blame(deployment, "promise", "context"):
        _require_context(deployment, facts)
    if pools is None:
        pools = pools_at_hand(deployment)
    if prices is None and deployment.prices:
        prices = load(deployment.resolve(deployment.prices), PriceList)
    plan = make_plan(deployment, facts, pools, _prices(prices, pools) if prices else None)
    return _with_gate(plan, deployment) if deployment.artifact else plan


def plan_in_cluster(
    deployment: Deployment, free: Mapping[str, tuple[int, ...]], prices: PriceList | None = None
) -> Plan:
    """The plan of a deployment for the GPUs that a cluster has free.

    Args:
        free: by node label, how many on each node.
        prices: as for ``plan_deployment``.

    Raises:
        VerdictError: no GPU of a known kind is free, or nothing at hand holds the promise.
    """
    pools, unknown = pools_of_cluster(free)
    plan = plan_deployment(deployment, pools, prices)
    return plan.model_copy(update={"rejected": [*plan.rejected, *unknown]})


def _with_gate(plan: Plan, deployment: Deployment) -> Plan:
    """The plan with what the gate measured on the artifact; where that cannot be read, it says so and stands."""
    from shipfit.serve.quality import gate_quality

    try:
        return plan.model_copy(update={"quality": gate_quality(deployment)})
    except ShipfitError as error:
        return plan.model_copy(
            update={"reasons": [*plan.reasons, f"the gate's figures were not read: {error.message}"]}
        )


def _require_context(deployment: Deployment, facts: ModelFacts) -> None:
    asked, held = deployment.promise.context, facts.max_position_embeddings
    if asked > held:
        raise InputError(f"is {asked:,}, and {deployment.model} holds {held:,} tokens", hint="lower it")


def pools_at_hand(deployment: Deployment) -> list[Pool]:
    """The GPUs that a deployment names.

    Raises:
        InputError: it names none, or one that is not known.
    """
    if deployment.hardware is None:
        with blame(deployment, "hardware"):
            raise InputError("is missing", hint="name the GPUs at hand, or plan with --cluster")
    return [_pool(deployment, number, asked) for number, asked in enumerate(deployment.hardware)]


def _pool(deployment: Deployment, number: int, asked: Hardware) -> Pool:
    """A kind of GPU at hand, machine by machine; this machine's processor by its cores."""
    with blame(deployment, "hardware", number, "gpu"):
        kind = gpu(asked.gpu)
    if kind.cpu:
        with blame(deployment, "hardware", number, "count"):
            if asked.count > kind.cpu.cores:
                raise InputError(
                    f"is {asked.count}, and this machine has {kind.cpu.cores} cores", hint="lower it"
                )
        return Pool(kind, (asked.count,))
    return Pool(kind, _machines(kind, asked.count, asked.per_machine or kind.node))


def _machines(kind: Gpu, count: int, each: int) -> tuple[int, ...]:
    """GPUs of each machine; parts of one GPU cannot reach each other, so each is a machine of its own."""
    if kind.part_of:
        return (1,) * count
    full, rest = divmod(count, each)
    return (each,) * full + ((rest,) if rest else ())


def pools_of_cluster(free: Mapping[str, tuple[int, ...]]) -> tuple[list[Pool], list[Rejected]]:
    """What a cluster has free as pools, and the kinds of GPU that the catalogue does not know.

    Args:
        free: by node label, how many on each node.

    Raises:
        VerdictError: no GPU of a known kind is free.
    """
    pools, unknown = [], []
    for label, machines in free.items():
        try:
            kind = gpu(label)
        except InputError as error:
            reason = f"{sum(machines)} are free, but {error.message}; add it to gpus.yaml"
            unknown.append(Rejected(option=label, reason=reason))
            continue
        pools.append(Pool(kind, (1,) * sum(machines) if kind.part_of else machines))
    if not pools:
        others = f" of a kind that is known (free: {', '.join(free)})" if free else ""
        raise VerdictError(f"the cluster has no GPU free{others}", hint="see `kubectl describe nodes`")
    return pools, unknown


def _prices(prices: PriceList, pools: Sequence[Pool]) -> Prices:
    """The prices by the catalogue's names; every kind of GPU at hand must have one."""
    known: dict[str, float] = {}
    for number, price in enumerate(prices.prices):
        with blame(prices, "prices", number, "gpu"):
            name = price.gpu if price.gpu == CPU else gpu(price.gpu).name
            if name in known:
                raise InputError(f"is {name} once more", hint="keep one price of it")
        known[name] = price.hour
    for pool in pools:
        if pool.gpu.name not in known:
            with blame(prices, "prices"):
                raise InputError(f"has none for {pool.gpu.name}, which is at hand", hint="add it")
    return Prices(prices.currency, known)
