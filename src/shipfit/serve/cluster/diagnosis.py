"""Why a rollout does not get on: the one cause, in words, from pods, events and last lines of logs. Pure.

What words mean stands in diagnosis.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shipfit.core.data import read_yaml
from shipfit.core.process import last_words
from shipfit.serve.cluster import groups
from shipfit.serve.cluster.kubectl import Object
from shipfit.serve.logs import plain

_RULES = Path(__file__).with_suffix(".yaml")
_LENGTH = 300  # characters of somebody else's words
_SURE_AFTER = 1  # restarts: what no rule knows may pass once
_FETCHED_ENVIRONMENT = 3  # exit code of our own programs: the surroundings are to blame
_PROBE = re.compile(r"Container (\S+) failed (\w+) probe, will be restarted")
_PROBED = {
    "startup": "raise engine.startupSeconds, or see what holds it up: `kubectl logs`",
    "liveness": "its engine made no step: see `kubectl logs --previous`",
}


@dataclass(frozen=True)
class Cause:
    """What holds a rollout up.

    Attributes:
        pod: or the object that should have made it.
        what: is wrong.
        advice: what to do.
        verdict: whether the release is to blame; else its surroundings.
        patience: seconds that it may pass by itself.
        freed: whether it may pass once pods that are ending have ended.
    """

    pod: str
    what: str
    advice: str
    verdict: bool = True
    patience: float = 0.0
    freed: bool = False

    def __str__(self) -> str:
        """In one line, without the advice."""
        return f"{self.pod}: {self.what}"


@dataclass(frozen=True)
class _Rule:
    of: str
    find: re.Pattern[str]
    says: str
    advice: str
    verdict: bool
    patience: float

    def cause(self, pod: str, words: str) -> Cause | None:
        """The cause that the words name, if they do."""
        found = self.find.search(words)
        if found is None:
            return None
        parts = (_short(each or "") for each in (found[0], *found.groups()))
        says = self.says.format(*parts, words=_short(words.removeprefix(f"{words.split(':')[0]}: ")))
        freed = self.of in ("scheduling", "creation")
        return Cause(pod, says, self.advice, self.verdict, self.patience, freed)


def causes(
    objects: Sequence[Object], events: Sequence[Object], logs: Mapping[str, Sequence[str]]
) -> list[Cause]:
    """What holds the newest pods of a release up, the surest first.

    Args:
        objects: its Deployments, ReplicaSets and pods; its LeaderWorkerSets and their StatefulSets.
        events: of the namespace.
        logs: last lines by ``pod/container``, where they were read.
    """
    new = newest(objects)
    found = [cause for each in new if each["kind"] != "Pod" for cause in _of_set(each, events)]
    for pod in (each for each in new if each["kind"] == "Pod"):
        found += _of_pod(pod, [each for each in events if _is_about(each, pod)], logs)
    return sorted(found, key=lambda cause: cause.patience)


def ready(pod: Object) -> bool:
    """Whether a pod takes requests."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def containers(pod: Object) -> list[Object]:
    """What becomes of a pod's containers, those that run first at the beginning."""
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def newest(objects: Sequence[Object]) -> list[Object]:
    """The ReplicaSets that their Deployments have now, and their pods that are not ending.

    So of LeaderWorkerSets. But a group of which a container ended is made anew as a whole, so pods that are ending are
    all that tells why.
    """
    sets = {each["metadata"]["uid"]: each for each in objects if each["kind"] == "ReplicaSet"}
    latest: dict[str, Object] = {}
    for each in sets.values():
        made_by = str(owner(each).get("uid", ""))
        if made_by not in latest or _revision(each) > _revision(latest[made_by]):
            latest[made_by] = each
    current = {each["metadata"]["uid"] for each in latest.values()}
    pods = [
        each
        for each in objects
        if each["kind"] == "Pod" and owner(each).get("uid") in current and not _ends(each)
    ]
    grouped = [each for each in groups.newest_of(list(objects)) if not _ends(each) or _restarts(each)]
    return [*latest.values(), *pods, *grouped]


def ending(objects: Sequence[Object]) -> list[Object]:
    """Pods that are ending and still hold what they hold."""
    return [each for each in objects if each["kind"] == "Pod" and _ends(each)]


def _ends(each: Object) -> bool:
    return "deletionTimestamp" in each["metadata"]


def _restarts(pod: Object) -> bool:
    return any(each["restartCount"] for each in containers(pod))


def _short(words: str) -> str:
    return " ".join(words.split())[:_LENGTH]


def _of_set(each: Object, events: Sequence[Object]) -> Iterator[Cause]:
    name, status = each["metadata"]["name"], each.get("status", {})
    for condition in status.get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield from _ruled("creation", name, condition.get("message", ""))
    # A StatefulSet says it in events only.
    if each["kind"] == "StatefulSet" and status.get("replicas", 0) < each["spec"].get("replicas", 1):
        for event in events:
            if event["reason"] == "FailedCreate" and _is_about(event, each):
                yield from _ruled("creation", name, event["message"])


def _of_pod(pod: Object, events: Sequence[Object], logs: Mapping[str, Sequence[str]]) -> Iterator[Cause]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            # What follows is about other pods, which might make room.
            said = re.split(r" no new claims| preemption: ", condition.get("message", ""))[0]
            yield from _ruled("scheduling", name, said)
    for each in events:
        if each["reason"] in ("FailedMount", "FailedAttachVolume"):
            yield from _ruled("volume", name, each["message"])
    for container in containers(pod):
        if waiting := container["state"].get("waiting"):
            yield from _ruled("waiting", name, f"{waiting.get('reason')}: {waiting.get('message', '')}")
        if cause := _restarted(pod, container, events, logs):
            yield cause


def _restarted(
    pod: Object, container: Object, events: Sequence[Object], logs: Mapping[str, Sequence[str]]
) -> Cause | None:
    """What ended a container last, unless it has come up since."""
    if container.get("ready") and not _ends(pod):
        return None
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    name = pod["metadata"]["name"]
    if ended is None or (ended["exitCode"] == 0 and not _probed(container["name"], events)):
        return None
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(pod, container["name"])
        return Cause(
            name,
            f"{container['name']} took more memory than its limit{limit}",
            "raise limits.memory under the engine's resources (of what fetches: under store.resources)",
        )
    if probe := _probed(container["name"], events):
        said = _said(container, ended, name, logs)
        return Cause(name, f"{container['name']} failed its {probe} probe{said}", _PROBED.get(probe, ""))
    lines = _lines(container, ended, name, logs)
    for line in reversed(lines):
        for cause in _ruled("log", name, line):
            return cause
    return _unknown(name, container, ended, lines)


def _unknown(name: str, container: Object, ended: Object, lines: Sequence[str]) -> Cause:
    words = last_words(lines) if lines else ended.get("reason", "")
    mine = words.startswith("shipfit: ")
    sure = container["restartCount"] >= _SURE_AFTER or (mine and ended["exitCode"] != _FETCHED_ENVIRONMENT)
    return Cause(
        name,
        words.removeprefix("shipfit: ")
        if mine
        else f"{container['name']} ended with code {ended['exitCode']}: {words}",
        "correct that and deploy again"
        if mine
        else f"see `kubectl logs {name} --container {container['name']}`",
        verdict=not (mine and ended["exitCode"] == _FETCHED_ENVIRONMENT),
        patience=0.0 if sure else 60.0,
    )


def _ruled(of: str, pod: str, words: str) -> Iterator[Cause]:
    """What the first rule that fits makes of the words."""
    found = (rule.cause(pod, words) for rule in _rules() if rule.of == of)
    if first := next((each for each in found if each), None):
        yield first


@cache
def _rules() -> tuple[_Rule, ...]:
    return tuple(
        _Rule(
            each["of"],
            re.compile(each["find"], re.DOTALL),
            each["says"],
            each["advice"],
            each.get("verdict", True),
            each.get("patience", 0),
        )
        for each in read_yaml(_RULES)
    )


def _lines(container: Object, ended: Object, pod: str, logs: Mapping[str, Sequence[str]]) -> list[str]:
    """What a container said last: in its termination message, else its log, without time and place."""
    said = (ended.get("message") or "").splitlines() or logs.get(f"{pod}/{container['name']}", [])
    return [line for line in (plain(each) for each in said) if line]


def _said(container: Object, ended: Object, pod: str, logs: Mapping[str, Sequence[str]]) -> str:
    lines = _lines(container, ended, pod, logs)
    return f"; it said last: {lines[-1][:_LENGTH]}" if lines else ""


def _probed(container: str, events: Sequence[Object]) -> str:
    """The probe for which a container was ended, if one was."""
    for each in events:
        if (
            each["reason"] == "Killing"
            and (match := _PROBE.search(each["message"]))
            and match[1] == container
        ):
            return match[2]
    return ""


def _memory_limit(pod: Object, name: str) -> str:
    spec = pod["spec"]
    for each in (*(spec.get("initContainers") or []), *spec["containers"]):
        if each["name"] == name and (limit := (each.get("resources", {}).get("limits") or {}).get("memory")):
            return f" of {limit}"
    return ""


def _is_about(event: Object, each: Object) -> bool:
    """Whether an event is about an object; not about one of its name before it."""
    return bool(event["involvedObject"].get("uid") == each["metadata"]["uid"])


def owner(each: Object) -> Mapping[str, Any]:
    """The reference of an object to that which made it; empty where nothing did."""
    references: list[Mapping[str, Any]] = each["metadata"].get("ownerReferences") or [{}]
    return references[0]


def _revision(each: Object) -> int:
    return int((each["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", 0))
