"""Watching a rollout: until Helm says that all is ready, or until the cause is sure why it will not be."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import state_dir
from shipfit.core.process import Process
from shipfit.core.progress import Progress
from shipfit.serve.cluster import groups
from shipfit.serve.cluster.changes import Change
from shipfit.serve.cluster.diagnosis import Cause, causes, containers, ending, newest, owner, ready
from shipfit.serve.cluster.kubectl import OUT_OF_REACH, Object, objects
from shipfit.serve.cluster.target import COMPONENT, INSTANCE, Target
from shipfit.serve.cluster.workloads import MAKES_PODS, workloads
from shipfit.serve.logs import plain

_POLL_S = 1.5
_LOG_LINES = 200  # that are kept of each container of a failed rollout
_SILENT_S = 120.0  # that a cluster may not answer in the middle of something
_MARGIN_S = 60  # for what no deadline counts: scheduling, the router
_NO_GROUPS = re.compile(r"doesn't have a resource type|forbidden", re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    """A release at one moment.

    Attributes:
        objects: its Deployments, ReplicaSets and pods; its LeaderWorkerSets and their StatefulSets.
        events: of the namespace.
    """

    objects: list[Object]
    events: list[Object]

    @property
    def causes(self) -> list[Cause]:
        """What holds it up, the surest first."""
        return causes(self.objects, self.events, {})

    @property
    def complete(self) -> bool:
        """Whether every pod is of the newest kind, and available."""
        return all(_complete(each) for each in self.objects if each["kind"] in MAKES_PODS)

    @property
    def generations(self) -> dict[str, int]:
        """How often each of what keeps its pods was changed."""
        found = (each["metadata"] for each in self.objects if each["kind"] in MAKES_PODS)
        return {each["name"]: each["generation"] for each in found}

    def of(self, names: Collection[str]) -> Scene:
        """What belongs to some Deployments or LeaderWorkerSets."""
        sets = {
            each["metadata"]["uid"]
            for each in self.objects
            if each["kind"] == "ReplicaSet" and owner(each).get("name") in names
        }
        kept = [
            each
            for each in self.objects
            if each["metadata"]["name"] in names
            or each["metadata"]["uid"] in sets
            or owner(each).get("uid") in sets
            or groups.set_of(each) in names
        ]
        return Scene(kept, self.events)


def look(target: Target) -> Scene:
    """The release now.

    Raises:
        EnvironmentFailure: the cluster does not answer.
    """
    own = f"--selector={INSTANCE}={target.release}"
    found = target.kubectl.items("deployments.apps,replicasets.apps,pods", own)
    return Scene([*found, *_groups(target, own)], target.kubectl.items("events"))


def keep_looking(target: Target, progress: Progress) -> Scene:
    """The release now, though the cluster may not answer for a while: a busy API server, or one that is replaced.

    Raises:
        EnvironmentFailure: it does not answer for too long.
    """
    deadline = time.monotonic() + _SILENT_S
    while True:
        try:
            return look(target)
        except EnvironmentFailure as error:
            if time.monotonic() > deadline:
                raise EnvironmentFailure(
                    f"the cluster has not answered for {_SILENT_S:.0f} s: {error.message}",
                    hint="what was begun may go on in it: `shipfit status` tells how far it came",
                ) from error
            progress.update(f"the cluster does not answer: {error.message}")
            time.sleep(_POLL_S)


def _groups(target: Target, own: str) -> list[Object]:
    """LeaderWorkerSets with their StatefulSets, which do not bear the release's label; none where nobody knows them."""
    done = target.kubectl.call("get", groups.RESOURCE, own, "--output=json")
    if done.code != 0 and _NO_GROUPS.search(done.said):
        return []
    if done.code != 0:
        raise EnvironmentFailure(done.failure, hint=OUT_OF_REACH)
    sets = objects(done)
    if not sets:
        return []
    names = ",".join(each["metadata"]["name"] for each in sets)
    return [*sets, *target.kubectl.items("statefulsets.apps", f"--selector={groups.NAME} in ({names})")]


def budget(documents: Sequence[Mapping[str, Any]]) -> float:
    """Seconds that a rollout may take: replicas of a kind are replaced one after the other, all kinds at once."""
    deadlines = [
        _deadline(each) * max(each["spec"].get("replicas", 1), 1)
        for each in documents
        if each["kind"] in MAKES_PODS
    ]
    return max(deadlines, default=0) + _MARGIN_S


def _deadline(each: Mapping[str, Any]) -> float:
    """Seconds that a replica may take."""
    if each["kind"] == groups.SET:
        return float(each["metadata"]["annotations"][groups.PROGRESS])
    return float(each["spec"].get("progressDeadlineSeconds", 600))


def watch(
    target: Target,
    begin: Callable[[float], Process],
    done: Sequence[Change],
    after: Sequence[Object],
    progress: Progress,
    timeout: float | None = None,
) -> Cause | None:
    """Begin a rollout and follow it; None once all is ready.

    A sure cause ends Helm, so that nothing waits for what will not come.

    Args:
        begin: lets Helm begin, and wait for so many seconds.
        done: what it changes.
        after: the objects that there are to be.
        timeout: seconds; by default what the pods' own start-up budgets add up to.

    Raises:
        EnvironmentFailure: the cluster does not answer, at first or for long.
    """
    limit = timeout or budget(after)
    before = look(target).generations
    changing = {each.name for each in done if each.kind in MAKES_PODS and each.action == "change"}
    wanted = {each["metadata"]["name"] for each in after if each["kind"] in MAKES_PODS}
    deadline = time.monotonic() + limit
    since: dict[str, float] = {}
    with begin(limit) as helm:
        while True:
            code = helm.returncode
            release = keep_looking(target, progress)
            scene = release.of(wanted)
            # What holds the pods up that were there before says nothing of those that come.
            begun = all(scene.generations.get(name, 0) > before.get(name, 0) for name in changing)
            seen = [each for each in scene.causes if begun and _counts(each, release, target)]
            now = time.monotonic()
            since = {str(each): since.get(str(each), now) for each in seen}
            if code == 0 and scene.complete:  # Helm 3 takes too few pods for all
                return None
            late = bool(code) or now > deadline
            sure = [each for each in seen if late or now - since[str(each)] >= each.patience]
            if sure or late:
                cause = sure[0] if sure else _unexplained(target, helm, scene)
                progress.note(f"failed: {cause}")
                return cause
            progress.update(_told(target, scene, seen))
            with suppress(EnvironmentFailure):  # it goes on: look again
                helm.wait(_POLL_S)
            if code == 0:
                time.sleep(_POLL_S)


def remove(target: Target, progress: Progress) -> None:
    """Remove the release, and wait until its pods have finished their requests and are gone.

    Also those of ``helm test``, which Helm leaves.

    Raises:
        EnvironmentFailure: Helm or the cluster failed, or a pod does not end.
    """
    scene = look(target)
    deadline = time.monotonic() + _MARGIN_S + max(map(_grace, scene.objects), default=0)
    # First, so that what fails here or is cut off can be begun again: without a release there is nothing to remove.
    tests = f"--selector={INSTANCE}={target.release},{COMPONENT}=test"
    target.kubectl.run("delete", "pods", tests, "--wait=false")
    target.helm.uninstall()
    while left := [
        each["metadata"]["name"] for each in keep_looking(target, progress).objects if each["kind"] == "Pod"
    ]:
        if time.monotonic() > deadline:
            raise EnvironmentFailure(
                f"{', '.join(left)} of {target.release} did not end", hint="see `kubectl describe pod`"
            )
        progress.update(f"{len(left)} pods finish their requests: {', '.join(left)}")
        time.sleep(_POLL_S)


def _grace(each: Object) -> float:
    """Seconds that a pod is given to end."""
    return float(each["spec"].get("terminationGracePeriodSeconds", 30)) if each["kind"] == "Pod" else 0.0


def _unexplained(target: Target, helm: Process, scene: Scene) -> Cause:
    """What is known where nothing says why."""
    said = helm.tail[-1] if helm.tail else "it printed nothing"
    late = not helm.returncode or "deadline exceeded" in said or "timed out" in said
    what = f"not ready in time: {_told(target, scene, [])}" if late else f"Helm: {said}"
    return Cause(target.release, what, "see `kubectl get pods`; --timeout gives it longer", verdict=late)


def keep_logs(target: Target, scene: Scene) -> Path:
    """Write down what a failed rollout said: a file a container, and one of causes and events; returns the folder."""
    folder = state_dir("releases", target.cluster.namespace, target.release, time.strftime("%Y%m%dT%H%M%S"))
    for pod in (each for each in newest(scene.objects) if each["kind"] == "Pod"):
        name = pod["metadata"]["name"]
        for container in (*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]):
            lines = [
                line
                for previous in (True, False)
                for line in target.kubectl.logs(name, container["name"], lines=_LOG_LINES, previous=previous)
            ]
            if lines:
                (folder / f"{name}.{container['name']}.log").write_text("\n".join(lines) + "\n")
    told = [f"{each}; {each.advice}" for each in scene.causes]
    told += [
        f"{each.get('lastTimestamp') or each.get('eventTime')} {each['reason']}"
        f" {each['involvedObject'].get('name')}: {each['message']}"
        for each in scene.events
    ]
    (folder / "events.log").write_text("\n".join(told) + "\n")
    return folder


def _complete(each: Object) -> bool:
    status, wanted = each.get("status", {}), each["spec"].get("replicas", 1)
    able = "readyReplicas" if each["kind"] == groups.SET else "availableReplicas"
    counts = {status.get(field, 0) for field in ("replicas", "updatedReplicas", able)}
    return status.get("observedGeneration", 0) >= each["metadata"]["generation"] and counts == {wanted}


def _counts(cause: Cause, release: Scene, target: Target) -> bool:
    """Whether it may hold the rollout up for good: not what pods that end will free, or nodes that come."""
    return not cause.freed or not (ending(release.objects) or target.cluster.grows)


def _told(target: Target, scene: Scene, seen: Sequence[Cause]) -> str:
    pods = [each for each in newest(scene.objects) if each["kind"] == "Pod"]
    wanted = sum(each.pods for each in workloads(scene.objects))
    waiting = [each for each in pods if not ready(each)]
    begin = f"{len(pods) - len(waiting)} of {wanted} pods ready"
    if seen:
        return f"{begin}; {seen[0]}"
    if waiting:
        return f"{begin}; {waiting[0]['metadata']['name']}: {_doing(target, waiting[0])}"
    return begin


def _doing(target: Target, pod: Object) -> str:
    for each in containers(pod):
        if "running" in each["state"] and not each.get("ready"):
            said = target.kubectl.logs(pod["metadata"]["name"], each["name"], lines=1)
            return f"{each['name']}: {plain(said[-1])[:80]}" if said else f"{each['name']} starts"
        if waiting := each["state"].get("waiting"):
            return str(waiting.get("reason", "waits"))
    return "waits for a node"
