"""A release as it is now: its pods beside what the plan predicted, and where spec, release and cluster differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shipfit.artifacts import open_store
from shipfit.core.errors import ShipfitError
from shipfit.core.progress import NoProgress
from shipfit.serve.cluster import groups
from shipfit.serve.cluster.address import own_url, reached
from shipfit.serve.cluster.changes import differences, documents
from shipfit.serve.cluster.diagnosis import containers, ready
from shipfit.serve.cluster.helm import Current, Revision
from shipfit.serve.cluster.kubectl import Object, objects
from shipfit.serve.cluster.rollout import look
from shipfit.serve.cluster.target import COMPONENT, ENGINE, Target
from shipfit.serve.cluster.values import Artifact, spec_digest
from shipfit.serve.folder import Figures
from shipfit.serve.logs import take_figures

_LOG_BYTES = 2_000_000  # of a replica's log, from its start: what it says of its memory stands there
_METRICS = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_cache_used": "vllm:kv_cache_usage_perc",
    "prompt_tokens": "vllm:prompt_tokens_total",
    "generated_tokens": "vllm:generation_tokens_total",
}
"""What a replica tells of its traffic, by vLLM's own name (docs.vllm.ai/en/stable/design/metrics)."""


@dataclass(frozen=True)
class PodStatus:
    """One pod.

    Attributes:
        component: ``replica`` or ``router``.
        state: ``ready``, or what it does instead.
        figures: memory of a replica as its log says; None where that was not read.
        traffic: of a replica since its start, by the names of ``_METRICS``; empty where it does not answer, and of
            pods of a group that do not serve.
    """

    name: str
    component: str
    state: str
    node: str
    restarts: int
    image: str
    figures: Figures | None
    traffic: dict[str, float]


@dataclass(frozen=True)
class ReleaseStatus:
    """A release.

    Attributes:
        revisions: the oldest first.
        record: what `deploy` wrote down: weights, artifact and its gate's figures, plan.
        address: its own; None where it has none.
        causes: what holds it up, with advice.
        drift: where spec, release and cluster differ, a line each.
    """

    release: str
    namespace: str
    revisions: list[Revision]
    record: dict[str, Any]
    address: str | None
    pods: list[PodStatus]
    causes: list[str]
    drift: list[str]


def status(target: Target) -> ReleaseStatus:
    """Look at a release.

    Raises:
        EnvironmentFailure: the cluster is out of reach.
    """
    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look, target)
        addressing = pool.submit(own_url, target)
        current = target.helm.current()
        drifting = pool.submit(lambda: list(_drift(target, current)))
        scene = looking.result()
        pods = [each for each in scene.objects if each["kind"] == "Pod"]
        seen = list(pool.map(lambda pod: _pod(target, pod), pods))
        return ReleaseStatus(
            target.release,
            target.cluster.namespace,
            current.revisions,
            current.values.get("record") or {},
            addressing.result(),
            sorted(seen, key=lambda pod: (pod.component, pod.name)),
            [f"{each}; {each.advice}" for each in scene.causes],
            drifting.result(),
        )


def metrics(text: str) -> dict[str, float]:
    """What vLLM's ``/metrics`` says of traffic, summed over engines."""
    found = {}
    for name, metric in _METRICS.items():
        values = re.findall(rf"^{metric}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        if values:
            found[name] = sum(map(float, values))
    return found


def _pod(target: Target, pod: Object) -> PodStatus:
    name, spec = pod["metadata"]["name"], pod["spec"]
    begun = pod.get("status", {}).get("containerStatuses") or []
    component = pod["metadata"].get("labels", {}).get(COMPONENT, "")
    replica = component == "replica"
    return PodStatus(
        name=name,
        component=component,
        state=_state(pod),
        node=spec.get("nodeName", ""),
        restarts=sum(each["restartCount"] for each in begun),
        image=spec["containers"][0]["image"],
        figures=_figures(target, name) if replica else None,
        traffic=_traffic(target, name) if replica and groups.leads(pod) else {},
    )


def _state(pod: Object) -> str:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return "ending"
    if ready(pod):
        return "ready"
    for each in containers(pod):
        if waiting := each.get("state", {}).get("waiting"):
            return str(waiting.get("reason", "waiting"))
    return str(status.get("phase", "unknown")).lower()


def _figures(target: Target, pod: str) -> Figures | None:
    done = target.kubectl.call("logs", pod, f"--container={ENGINE}", f"--limit-bytes={_LOG_BYTES}")
    figures = Figures()
    for line in done.out.splitlines() if done.code == 0 else []:
        take_figures(line, figures)
    return figures if figures != Figures() else None


def _traffic(target: Target, pod: str) -> dict[str, float]:
    import httpx

    try:
        with reached(target, f"pod/{pod}", "8000") as url:
            return metrics(httpx.get(f"{url}/metrics", timeout=5, trust_env=False).text)
    except (ShipfitError, httpx.HTTPError):  # it is not up; its state says so
        return {}


def _drift(target: Target, current: Current) -> Iterator[str]:
    record = current.values.get("record") or {}
    if not record:
        return
    asked = record.get("canary") or record  # what the spec was last taken from
    if asked.get("spec") != spec_digest(target.deployment):
        yield f"{target.spec} has changed since it was deployed"
    yield from _moved(target, Artifact.recorded(asked.get("artifact")))
    yield from _edited(target, documents(current.manifest))


def _moved(target: Target, served: Artifact | None) -> Iterator[str]:
    """Whether the channel points elsewhere by now."""
    reference = target.deployment.artifact_reference
    if served is None or reference is None or served.name != reference[0]:
        return
    try:
        with open_store(served.store, NoProgress()) as store:
            now = store.resolve(*reference)
    except ShipfitError as error:
        yield f"the store was not asked: {error.message}"
        return
    if now != served.fingerprint:
        yield f"{'@'.join(reference)} is {now[:12]} by now, and {served.fingerprint[:12]} is served"


def _edited(target: Target, wanted: Sequence[Object]) -> Iterator[str]:
    """What somebody changed in the cluster: the objects beside what they would be if they were applied again."""
    if not wanted:
        return
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted})
    words = ("--server-side", "--field-manager=shipfit", "--force-conflicts", "--dry-run=server")
    live = objects(
        target.kubectl.call("get", "--ignore-not-found", "--output=json", "--filename=-", stdin=text)
    )
    done = target.kubectl.call("apply", *words, "--output=json", "--filename=-", stdin=text)
    if done.code != 0:
        yield f"the cluster was not compared: {done.said}"
        return
    there = {(each["kind"], each["metadata"]["name"]): each for each in live}
    for each in objects(done):
        key = (each["kind"], each["metadata"]["name"])
        if key not in there:
            yield f"{' '.join(key)} is gone from the cluster"
            continue
        for field in differences(there[key], each):
            yield f"{' '.join(key)}, cluster -> release: {field}"
