"""Everything that stands against a deployment, before anything is changed: said all at once, with figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shipfit.core.errors import EnvironmentFailure, InputError, ShipfitError, VerdictError
from shipfit.serve.cluster import groups
from shipfit.serve.cluster.kubectl import Kubectl, Object
from shipfit.serve.cluster.room import FREE, Placement, quantity, requests, spoken, total
from shipfit.serve.cluster.survey import Survey
from shipfit.serve.cluster.target import Target
from shipfit.serve.cluster.workloads import Reference, Workload

LEAST_VERSION = (1, 30)
"""Of Kubernetes: the first that knows the sleep of a container before its end
(kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-implementations)."""

_NEEDED = {
    "": ("secrets", "services", "configmaps", "serviceaccounts", "pods"),
    "apps": ("deployments",),
}
"""What a release is made of, and where Helm keeps its history (secrets), by API group."""

_VERBS = {"pods": ("list",)}
_CHANGES = ("create", "get", "list", "patch", "delete")
_NO_KIND = re.compile(r'no matches for kind "(?P<kind>\w+)" in version "(?P<version>[^"]+)"')
_INSTALL = {
    groups.SET: "install LeaderWorkerSet (https://lws.sigs.k8s.io), or let replicas stay on one machine"
    " (across_machines: false)"
}
_SHOWN = 4  # nodes of a reason


@dataclass(frozen=True)
class Objection:
    """One thing that stands against it.

    Attributes:
        what: is wrong, with figures.
        advice: what to do.
        kind: ``verdict`` where the cluster has not enough, ``input`` where a file is wrong, else ``environment``.
    """

    what: str
    advice: str
    kind: Literal["verdict", "input", "environment"] = "environment"

    def facts(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def refusal(objections: Sequence[Objection], what: str) -> ShipfitError:
    """The error that stands for all objections: the first that a user's file is to blame for, else the first.

    Args:
        what: is not done because of them.
    """
    first = next((each for each in objections if each.kind == "input"), objections[0])
    others = f" (and {len(objections) - 1} more, above)" if len(objections) > 1 else ""
    kinds: dict[str, type[ShipfitError]] = {
        "verdict": VerdictError,
        "input": InputError,
        "environment": EnvironmentFailure,
    }
    return kinds[first.kind](f"{what}: {first.what}{others}", hint=first.advice or None)


def of_cluster(found: Survey, target: Target) -> Iterator[Objection]:
    """What the cluster itself lacks: its version, the namespace, permissions."""
    name = target.cluster.namespace
    if found.version < LEAST_VERSION:
        have, need = (".".join(map(str, each)) for each in (found.version, LEAST_VERSION))
        yield Objection(f"the cluster is Kubernetes {have}, older than {need}", "update it")
    if found.namespace is None:
        make = target.kubectl
        context = f" --context {make.context}" if make.context else ""
        yield Objection(f"there is no namespace {name}", f"kubectl{context} create namespace {name}")
    if found.rules is not None:
        missing = list(_forbidden(found.rules))
        if missing:
            yield Objection(
                f"this user may not {', '.join(missing)} in namespace {name}",
                "have a Role with these bound to it, such as the cluster role `edit`",
            )


def of_references(wanted: Sequence[Reference], there: Sequence[Object] | None) -> Iterator[Objection]:
    """Secrets, claims and accounts that pods name and that are not there, or lack a key.

    Args:
        there: the objects that were found; None where this user may not look.
    """
    if there is None:
        return
    found = {(each["kind"], each["metadata"]["name"]): each for each in there}
    for each in wanted:
        known = found.get((each.kind, each.name))
        if known is None:
            yield Objection(f"there is no {each.kind} {each.name}", _make(each), "input")
            continue
        held = {**(known.get("data") or {}), **(known.get("binaryData") or {})}
        if lacking := [key for key in each.keys if key not in held]:
            have = ", ".join(held) or "nothing"
            yield Objection(
                f"{each.kind} {each.name} has no key {', '.join(lacking)}, but {have}", "add it", "input"
            )
        if known.get("status", {}).get("phase") == "Lost":
            yield Objection(f"{each.kind} {each.name} has lost its volume", "make it anew")


def of_room(workload: Workload, placed: Placement) -> Objection | None:
    """Pods that find no place: how many, what each needs, and what every node says."""
    if not placed.missing:
        return None
    asks = requests(workload.pod)
    wish = ", ".join(spoken(resource, amount) for resource, amount in sorted(asks.items()) if amount)
    shown = sorted(placed.reasons, key=lambda reason: not reason.endswith(FREE))[:_SHOWN]
    more = len(placed.reasons) - len(shown)
    each = f", {workload.size} a replica," if workload.size > 1 else ""
    nodes = "; ".join(shown) + (f"; and {more} more nodes" if more else "") or "there is no node"
    return Objection(
        f"{placed.missing} of {workload.pods} pods of {workload.name}{each} find no room for {wish}: {nodes}",
        "free that much, add nodes, or promise less",
        "verdict",
    )


def of_quotas(
    quotas: Sequence[Object], workloads: Sequence[Workload], own: Sequence[Object]
) -> Iterator[Objection]:
    """What the namespace's quotas leave too little of.

    Args:
        own: the release's pods, which will be gone.
    """
    count = sum(each.pods for each in workloads)
    pods = {"pods": quantity(count)}
    asks = total([pods, *(_times(requests(each.pod), each.pods) for each in workloads)])
    given = total([{"pods": quantity(len(own))}, *(requests(each["spec"]) for each in own)])
    for quota in quotas:
        status = quota.get("status", {})
        for resource, hard in (status.get("hard") or {}).items():
            plain = resource.removeprefix("requests.")
            if plain not in asks or resource.startswith("limits."):
                continue
            used = quantity((status.get("used") or {}).get(resource, 0)) - given.get(plain, quantity(0))
            if used + asks[plain] > quantity(hard):
                yield Objection(
                    f"quota {quota['metadata']['name']} allows {spoken(plain, quantity(hard))}: others use"
                    f" {spoken(plain, used)}, and {spoken(plain, asks[plain])} are needed",
                    f"raise its {resource}",
                    "verdict",
                )


def of_admission(
    kubectl: Kubectl, documents: Sequence[Object], workloads: Sequence[Workload], *, upgrade: bool
) -> list[Objection]:
    """What the API server says to the objects, and to one pod of each kind, without keeping any.

    It asks whatever guards the cluster: definitions that are missing or of another version, permissions, quotas,
    limit ranges, Pod Security, priority classes, webhooks of policies.

    Args:
        upgrade: whether pods of the release are there already: one more may be over a quota that its successors keep
            (``of_quotas`` counts).

    Raises:
        EnvironmentFailure: kubectl could not be run.
    """
    tried = [*documents, *(_one_pod(each) for each in workloads)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": tried})
    words = ("apply", "--server-side", "--field-manager=helm", "--force-conflicts", "--dry-run=server")
    # The server refuses fields that it does not know anyway; to have it asked for that, kubectl would first read the
    # schema of every API group, which takes as long as all the rest.
    done = kubectl.call(*words, "--validate=false", "--output=name", "--filename=-", stdin=text)
    if done.code == 0:
        return []
    lines = dict.fromkeys(line.strip() for line in done.errors)
    passed_over = ("Warning: would", *(("exceeded quota",) if upgrade else ()))
    return [_objected(line) for line in lines if line and not any(words in line for words in passed_over)]


def _objected(line: str) -> Objection:
    if match := _NO_KIND.search(line):
        return Objection(
            f"the cluster does not know {match['kind']} of {match['version']}",
            _INSTALL.get(match["kind"], "install its definition, or switch off what needs it in the values"),
        )
    what = line.removeprefix("Error from server ").removeprefix("error: ")
    return Objection(f"the cluster refuses it: {what}", "change the values, or the rule that it names")


def _one_pod(workload: Workload) -> Object:
    """A pod as the workload would make it. Its account may come with the release only."""
    spec = {key: value for key, value in workload.pod.items() if key != "serviceAccountName"}
    name = f"{workload.name[:53]}-preflight"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _forbidden(rules: Iterable[tuple[list[str], list[str], list[str]]]) -> Iterator[str]:
    allowed = list(rules)
    for group, resources in _NEEDED.items():
        for resource in resources:
            verbs = [
                verb
                for verb in _VERBS.get(resource, _CHANGES)
                if not any(
                    {verb, "*"} & set(may) and {group, "*"} & set(groups) and {resource, "*"} & set(of)
                    for may, groups, of in allowed
                )
            ]
            if verbs:
                yield f"{'/'.join(verbs)} {resource}"


def _make(each: Reference) -> str:
    if each.kind == "Secret" and each.keys:
        keys = " ".join(f"--from-literal={key}=..." for key in each.keys)
        return f"kubectl create secret generic {each.name} {keys}"
    return "make it, or name another in the values"


def _times(amounts: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {resource: amount * count for resource, amount in amounts.items()}
