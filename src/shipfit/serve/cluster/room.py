"""Where pods have room: the scheduler's arithmetic over nodes, as far as figures and labels decide. Pure.

Counted are requests, node selectors, required node affinity, taints and tolerations. Spreading, and affinity between
pods, are left to the scheduler.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from shipfit.serve.cluster.kubectl import Object

Amounts = dict[str, Decimal]
"""Amounts by resource: cores, bytes, devices."""

_ENDED = ("Succeeded", "Failed")  # phases of pods that hold nothing any more
_QUANTITY = re.compile(r"^([+-]?[\d.]+(?:[eE][+-]?\d+)?)(n|u|m|k|[KMGTPE]i|[MGTPE])?$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
FREE = " free"
"""The end of a reason against a node that could take a pod, and lacks only room."""

_BLOCKING = ("NoSchedule", "NoExecute")  # effects of taints that keep pods away


def quantity(text: str | float) -> Decimal:
    """A quantity of the API as a number: ``500m`` is 0.5, ``1Ki`` 1024.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.match(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    number, suffix = Decimal(match[1]), match[2]
    if suffix in _BINARY:
        return number * Decimal(2 ** _BINARY[suffix])
    return number.scaleb(_DECIMAL[suffix]) if suffix else number


def spoken(resource: str, amount: Decimal) -> str:
    """An amount as people say it: ``12.5 GiB memory``, ``2 nvidia.com/gpu``."""
    if resource in ("memory", "ephemeral-storage"):
        return f"{float(amount) / 2**30:.1f} GiB {resource}"
    return f"{float(amount):g} {resource}"


def requests(spec: Object) -> Amounts:
    """What a pod asks for: its containers and sidecars together, or the largest of those that run before them.

    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    first = spec.get("initContainers") or []
    sidecars = [each for each in first if each.get("restartPolicy") == "Always"]
    held = total(_asked(each) for each in (*(spec.get("containers") or []), *sidecars))
    for container in first:
        for resource, amount in _asked(container).items():
            held[resource] = max(held.get(resource, Decimal()), amount)
    return total([held, _amounts(spec.get("overhead"))])


def total(amounts: Iterable[Amounts]) -> Amounts:
    """The sums by resource."""
    found: Amounts = {}
    for each in amounts:
        for resource, amount in each.items():
            found[resource] = found.get(resource, Decimal()) + amount
    return found


def holds(pod: Object) -> bool:
    """Whether a pod has a place on a node."""
    return bool(pod.get("spec", {}).get("nodeName")) and not ended(pod)


def ended(pod: Object) -> bool:
    """Whether a pod has done its work, as that of ``helm test`` has: it is there and takes nothing."""
    return pod.get("status", {}).get("phase") in _ENDED


def usable(node: Object) -> bool:
    """Whether new pods go to a node."""
    if node.get("spec", {}).get("unschedulable"):
        return False
    conditions = node.get("status", {}).get("conditions", [])
    return all(each["status"] == "True" for each in conditions if each["type"] == "Ready")


@dataclass
class Node:
    """A node with what is free of it.

    Attributes:
        taints: those that keep pods away.
    """

    name: str
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]]
    free: Amounts = field(default_factory=dict)

    def refusal(self, spec: Object, asks: Amounts) -> str | None:
        """Why a pod cannot go there, with figures; None where it can.

        Args:
            asks: its requests.
        """
        for key, value in (spec.get("nodeSelector") or {}).items():
            if self.labels.get(key) != value:
                return f"is not {key}={value}"
        if not _affine(spec, self.labels):
            return "does not have the labels of the node affinity"
        for taint in self.taints:
            if not any(_tolerates(each, taint) for each in spec.get("tolerations") or []):
                value = f"={taint['value']}" if taint.get("value") else ""
                return f"has the taint {taint['key']}{value}:{taint['effect']}"
        for resource, amount in {**asks, "pods": Decimal(1)}.items():
            free = self.free.get(resource, Decimal())
            if amount > free:
                return f"has {spoken(resource, max(free, Decimal()))}{FREE}"
        return None

    def take(self, asks: Amounts) -> None:
        """Give a pod its place."""
        for resource, amount in {**asks, "pods": Decimal(1)}.items():
            self.free[resource] = self.free.get(resource, Decimal()) - amount


def nodes(items: Sequence[Object], without: Collection[str] = ()) -> list[Node]:
    """The nodes that take pods, with what is free of each.

    Args:
        items: nodes and pods of the whole cluster.
        without: uids of pods that are counted as gone.
    """
    held: dict[str, list[Amounts]] = {}
    for each in items:
        if each["kind"] == "Pod" and holds(each) and each["metadata"].get("uid") not in without:
            held.setdefault(each["spec"]["nodeName"], []).append(
                {**requests(each["spec"]), "pods": Decimal(1)}
            )
    found = []
    for each in items:
        if each["kind"] == "Node" and usable(each):
            name = each["metadata"]["name"]
            free = _amounts(each.get("status", {}).get("allocatable"))
            for resource, amount in total(held.get(name, [])).items():
                free[resource] = free.get(resource, Decimal()) - amount
            taints = [t for t in each.get("spec", {}).get("taints") or [] if t["effect"] in _BLOCKING]
            found.append(Node(name, each["metadata"].get("labels") or {}, taints, free))
    return found


@dataclass(frozen=True)
class Placement:
    """What became of pods of one kind.

    Attributes:
        on: how many went to each node.
        missing: how many found no place.
        reasons: why a further one finds none, and how many nodes say so.
    """

    on: dict[str, int]
    missing: int
    reasons: dict[str, int]

    @property
    def placed(self) -> int:
        """How many found a place."""
        return sum(self.on.values())


def place(at: Sequence[Node], spec: Object, count: int) -> Placement:
    """Give so many pods of one kind their places; the nodes' free amounts shrink.

    Which node comes first makes no difference to how many find a place: they are all alike.
    """
    asks = requests(spec)
    on: Counter[str] = Counter()
    for node in at:
        while on.total() < count and node.refusal(spec, asks) is None:
            node.take(asks)
            on[node.name] += 1
    reasons: Counter[str] = Counter()
    if missing := count - on.total():
        reasons.update(_why(node, on, node.refusal(spec, asks) or "") for node in at)
    return Placement(dict(on), missing, dict(reasons))


def _why(node: Node, on: Mapping[str, int], refusal: str) -> str:
    mine = on.get(node.name, 0)
    return f"{node.name}{f', with {mine} of them,' if mine else ''} {refusal}"


def _asked(container: Object) -> Amounts:
    """Its requests; what only has a limit is asked for by that."""
    resources = container.get("resources") or {}
    return {**_amounts(resources.get("limits")), **_amounts(resources.get("requests"))}


def _amounts(values: Mapping[str, Any] | None) -> Amounts:
    return {name: quantity(value) for name, value in (values or {}).items()}


def _tolerates(toleration: Object, taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") in (None, ""):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _affine(spec: Object, labels: Mapping[str, str]) -> bool:
    """Whether a node's labels satisfy the required node affinity: any of its terms, every expression of that."""
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(
        all(_matches(each, labels) for each in term.get("matchExpressions") or [])
        for term in affinity["nodeSelectorTerms"]
    )


def _matches(expression: Object, labels: Mapping[str, str]) -> bool:
    found, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt":
            return found is not None and int(found) > int(values[0])
        case _:  # Lt
            return found is not None and int(found) < int(values[0])
