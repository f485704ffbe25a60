"""Watching a canary: what it and the version beside it do, read from the release's own pods."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from shipfit.core.errors import EnvironmentFailure, ShipfitError
from shipfit.core.progress import Progress
from shipfit.serve.cluster import groups
from shipfit.serve.cluster.address import reached
from shipfit.serve.cluster.canary.figures import Counters, Seen, Series, of_replica, of_router
from shipfit.serve.cluster.canary.judge import LEAST, Verdict, hopeless, judge
from shipfit.serve.cluster.diagnosis import ending, ready
from shipfit.serve.cluster.kubectl import Object
from shipfit.serve.cluster.rollout import keep_looking, look
from shipfit.serve.cluster.target import COMPONENT, KIND, Target
from shipfit.serve.cluster.values import MODEL

CANARY = f"{MODEL}-canary"
"""What the chart calls the canary of the deployment's model."""

_POLL_S = 5.0
_TRIES = 3  # to read every router
_PORTS = {"router": "9902", "replica": "8000"}
_PATHS = {"router": "/stats/prometheus", "replica": "/metrics"}


@dataclass(frozen=True)
class Window:
    """How long a canary is watched.

    Attributes:
        seconds: at most.
        requests: of the canary, after which it is enough; None to watch for all that time.
    """

    seconds: float
    requests: int | None = None


@dataclass(frozen=True)
class Observation:
    """What was seen of a canary, and what that means.

    Attributes:
        seconds: that it was watched.
    """

    seen: Seen
    verdict: Verdict
    seconds: float


class OvertakenError(EnvironmentFailure):
    """The release is not what it was when the canary began: whoever changed it decides."""


def observe(target: Target, window: Window, number: int, progress: Progress) -> Observation:
    """Watch a canary to the end of its time, or until it is sure to be bad.

    Args:
        number: of the revision that tries it.

    Raises:
        OvertakenError: somebody changed the release meanwhile.
        EnvironmentFailure: the cluster or a router does not answer.
    """
    slo, needed = target.deployment.slo, window.requests or LEAST
    lives = lives_of(keep_looking(target, progress).objects)
    counters = Counters(_first(target))
    begun = time.monotonic()
    while True:
        time.sleep(max(0.0, min(_POLL_S, begun + window.seconds - time.monotonic())))
        objects = keep_looking(target, progress).objects
        if (latest := target.helm.revisions()[-1].number) != number:
            raise OvertakenError(
                f"revision {latest} was made while the canary was watched: left as it is now"
            )
        counters.add(_read(target, objects))
        seen = counters.seen(f"{target.release}-{MODEL}", f"{target.release}-{CANARY}")
        passed = time.monotonic() - begun
        if again := restarted(lives, lives_of(objects)):
            why = [f"{pod} restarted" for pod in again]
            return Observation(seen, Verdict("bad", judge(seen, slo, needed).figures + why, why), passed)
        enough = window.requests is not None and seen.canary.total >= window.requests
        if enough or hopeless(seen, slo) or passed >= window.seconds:
            return Observation(seen, judge(seen, slo, needed), passed)
        done = passed / window.seconds
        if window.requests:
            done = max(done, seen.canary.total / window.requests)
        progress.update("; ".join(judge(seen, slo, needed).figures), done)


def _first(target: Target) -> dict[Series, float]:
    """Where counting starts: of a router that is left out, all that it ever counted would be taken for new."""
    for _ in range(_TRIES - 1):
        with suppress(EnvironmentFailure):
            return _read(target, look(target).objects, all_routers=True)
        time.sleep(_POLL_S)
    return _read(target, look(target).objects, all_routers=True)


def _read(target: Target, objects: list[Object], *, all_routers: bool = False) -> dict[Series, float]:
    """How far the counters of the routers and of the canary's replicas are; of those that answer, or of all."""
    ends = ending(objects)
    pods = [each for each in objects if each["kind"] == "Pod" and ready(each) and each not in ends]
    asked = [
        each
        for each in pods
        if _label(each, COMPONENT) == "router" or (_of_canary(each) and groups.leads(each))
    ]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda pod: _of_pod(target, pod, needed=all_routers), asked))
    return {series: value for each in found for series, value in each.items()}


def _of_pod(target: Target, pod: Object, *, needed: bool) -> dict[Series, float]:
    import httpx

    name, component = pod["metadata"]["name"], _label(pod, COMPONENT)
    router = component == "router"
    try:
        with reached(target, f"pod/{name}", _PORTS[component]) as url:
            text = httpx.get(f"{url}{_PATHS[component]}", timeout=10, trust_env=False).text
    except (ShipfitError, httpx.HTTPError) as error:  # it ends just now, or is not up any more
        if needed and router:
            raise EnvironmentFailure(f"{name} does not say what it counted: {error}") from error
        return {}
    return of_router(name, text) if router else of_replica(name, text)


def lives_of(objects: list[Object]) -> dict[str, tuple[str, int]]:
    """Of each of the canary's pods, by name: which one it is, and how often it was restarted."""
    return {
        each["metadata"]["name"]: (
            each["metadata"]["uid"],
            sum(one["restartCount"] for one in each.get("status", {}).get("containerStatuses") or []),
        )
        for each in objects
        if each["kind"] == "Pod" and _of_canary(each)
    }


def restarted(before: dict[str, tuple[str, int]], now: dict[str, tuple[str, int]]) -> list[str]:
    """The pods that were restarted, or made anew under their old names, as a group is of which a container ended."""
    return [name for name, (uid, times) in now.items() if (uid, times) != before.get(name, (uid, 0))]


def _of_canary(each: Object) -> bool:
    return _label(each, KIND) == CANARY


def _label(pod: Object, name: str) -> str:
    return str(pod["metadata"].get("labels", {}).get(name, ""))
