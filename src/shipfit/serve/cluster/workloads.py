"""What a release's rendered objects ask of a cluster: pods, and the names that these refer to. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shipfit.serve.cluster.kubectl import Object
from shipfit.serve.cluster.target import COMPONENT


@dataclass(frozen=True)
class Workload:
    """A Deployment of the release.

    Attributes:
        component: ``replica`` or ``router``.
        replicas: how many pods it keeps.
        pod: their spec.
        surge: pods that an update adds before it takes one away.
    """

    name: str
    component: str
    replicas: int
    pod: Object
    surge: int


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
    """The Deployments of a release, those with replicas first."""
    found = [_workload(each) for each in documents if each["kind"] == "Deployment"]
    return sorted(found, key=lambda each: (each.component != "replica", each.name))


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
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    return Workload(
        name=each["metadata"]["name"],
        component=each["spec"]["template"]["metadata"]["labels"].get(COMPONENT, ""),
        replicas=spec.get("replicas", 1),
        pod=spec["template"]["spec"],
        surge=rolling.get("maxSurge", 1),
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
