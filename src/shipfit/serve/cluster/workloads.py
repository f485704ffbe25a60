"""What a release's rendered objects ask of a cluster: pods, and the names that these refer to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shipfit.serve.cluster import groups
from shipfit.serve.cluster.changes import Change
from shipfit.serve.cluster.kubectl import Object
from shipfit.serve.cluster.target import COMPONENT

MAKES_PODS = ("Deployment", groups.SET)
"""The kinds of a release's objects that keep pods."""


@dataclass(frozen=True)
class Workload:
    """A Deployment or LeaderWorkerSet of the release.

    Attributes:
        component: ``replica`` or ``router``.
        replicas: how many it keeps.
        pod: the spec of their pods.
        surge: replicas that an update adds before it takes one away.
        size: pods of each replica.
    """

    name: str
    component: str
    replicas: int
    pod: Object
    surge: int
    size: int = 1

    @property
    def pods(self) -> int:
        """Pods of all replicas."""
        return self.replicas * self.size


@dataclass(frozen=True, order=True)
class Reference:
    """A name that pods refer to.

    Attributes:
        kind: such as ``Secret``.
        keys: that must be in it.
    """

    kind: str
    name: str
    keys: tuple[str, ...] = ()


def workloads(documents: Sequence[Object]) -> list[Workload]:
    """What keeps the pods of a release, those with replicas first."""
    found = [_workload(each) for each in documents if each["kind"] in MAKES_PODS]
    return sorted(found, key=lambda each: (each.component != "replica", each.name))


def by_workload(done: Iterable[Change]) -> dict[str, Change]:
    """What becomes of each that is there afterwards, by its name."""
    return {each.name: each for each in done if each.kind in MAKES_PODS and each.action != "remove"}


def references(documents: Sequence[Object]) -> list[Reference]:
    """What pods refer to and the release does not bring, with all the keys that are asked of each."""
    own = {(each["kind"], each["metadata"]["name"]) for each in documents}
    keys: dict[tuple[str, str], set[str]] = {}
    for each in workloads(documents):
        for found in _referred(each.pod):
            if (found.kind, found.name) not in own:
                keys.setdefault((found.kind, found.name), set()).update(found.keys)
    return sorted(Reference(kind, name, tuple(sorted(needed))) for (kind, name), needed in keys.items())


def _workload(each: Object) -> Workload:
    spec = each["spec"]
    if each["kind"] == groups.SET:
        # Pods that serve and those that do not differ in nothing that is looked at: requests, places, references.
        size, template = spec["leaderWorkerTemplate"]["size"], spec["leaderWorkerTemplate"]["leaderTemplate"]
        surge = spec["rolloutStrategy"]["rollingUpdateConfiguration"]["maxSurge"]
    else:
        size, template = 1, spec["template"]
        surge = ((spec.get("strategy") or {}).get("rollingUpdate") or {}).get("maxSurge", 1)
    return Workload(
        name=each["metadata"]["name"],
        component=template["metadata"]["labels"].get(COMPONENT, ""),
        replicas=spec.get("replicas", 1),
        pod=template["spec"],
        surge=surge,
        size=size,
    )


def _referred(pod: Object) -> Iterator[Reference]:
    for each in pod.get("imagePullSecrets") or []:
        yield Reference("Secret", each["name"])
    if account := pod.get("serviceAccountName"):
        yield Reference("ServiceAccount", account)
    for volume in pod.get("volumes") or []:
        yield from _of_volume(volume)
    for container in (*(pod.get("initContainers") or []), *pod["containers"]):
        for variable in container.get("env") or []:
            yield from _of_variable(variable.get("valueFrom") or {})
        for every in container.get("envFrom") or []:
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if (found := every.get(field)) and not found.get("optional"):
                    yield Reference(kind, found["name"])


def _of_volume(volume: Object) -> Iterator[Reference]:
    if claim := volume.get("persistentVolumeClaim"):
        yield Reference("PersistentVolumeClaim", claim["claimName"])
    for field, kind, name in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
        if (found := volume.get(field)) and not found.get("optional"):
            yield Reference(kind, found[name], tuple(item["key"] for item in found.get("items") or []))


def _of_variable(source: Object) -> Iterator[Reference]:
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if (found := source.get(field)) and not found.get("optional"):
            yield Reference(kind, found["name"], (found["key"],))
