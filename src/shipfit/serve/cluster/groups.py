"""Replicas that are groups of pods on several nodes: LeaderWorkerSets, as their controller marks what it makes.

https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables. A set makes a StatefulSet of its
own name, of the leaders, and each leader one of its workers.
"""

from __future__ import annotations

from shipfit.serve.cluster.kubectl import Object

SET = "LeaderWorkerSet"
"""Their kind."""

RESOURCE = "leaderworkersets.leaderworkerset.x-k8s.io"
"""What kubectl calls them."""

NAME = "leaderworkerset.sigs.k8s.io/name"
"""The label that names the set of a pod or a StatefulSet."""

PROGRESS = "shipfit/progress-seconds"
"""The annotation by which the chart says how long an update may stand still."""

_REVISION = "leaderworkerset.sigs.k8s.io/template-revision-hash"
_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"


def set_of(each: Object) -> str:
    """The name of the set that something belongs to; empty where it belongs to none."""
    return str(_labels(each).get(NAME, ""))


def leads(pod: Object) -> bool:
    """Whether a pod serves: the first of its group, or one that is of none."""
    return bool(_labels(pod).get(_INDEX, "0") == "0")


def newest_of(objects: list[Object]) -> list[Object]:
    """The StatefulSets and pods that are of the newest revision of their set."""
    revisions = {
        set_of(each): _labels(each).get(_REVISION)
        for each in objects
        if each["kind"] == "StatefulSet" and each["metadata"]["name"] == set_of(each)
    }
    return [
        each
        for each in objects
        if each["kind"] in ("StatefulSet", "Pod")
        and (name := set_of(each)) in revisions
        and _labels(each).get(_REVISION) == revisions[name]
    ]


def _labels(each: Object) -> Object:
    labels: Object = each["metadata"].get("labels") or {}
    return labels
