"""Whether a cluster has room for a release, and what an update of it costs while it goes on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from shipfit.serve.cluster.changes import Change
from shipfit.serve.cluster.kubectl import Object
from shipfit.serve.cluster.preflight import Objection, of_quotas, of_room
from shipfit.serve.cluster.room import FREE, nodes, place
from shipfit.serve.cluster.workloads import Workload


@dataclass(frozen=True)
class Spare:
    """Whether one more replica of a kind has room.

    Attributes:
        node: where, or on which nodes; empty where nowhere.
        why_not: what the nodes that could take it lack.
    """

    node: str
    why_not: str = ""


def unplaced(workloads: Sequence[Workload], items: Sequence[Object], own: Collection[str]) -> list[Objection]:
    """Pods of the release for which the cluster has no room.

    Args:
        items: nodes and pods.
        own: uids of the release's present pods, which will be gone.
    """
    at = nodes(items, own)
    found = [of_room(each, place(at, each.pod, each.pods)) for each in workloads]
    return [each for each in found if each]


def spare(
    workload: Workload,
    workloads: Sequence[Workload],
    items: Sequence[Object],
    own: Collection[str],
    quotas: Sequence[Object] = (),
) -> Spare:
    """Whether an update of a workload can start a replica before it ends another.

    There must be room for one more beside all pods of the new release, and, where an old release is there, beside those
    that it has now; and the namespace's quotas must allow it.
    """
    later = nodes(items, own)
    for each in workloads:
        place(later, each.pod, each.pods)
    found = place(later, workload.pod, workload.size)
    if own and not found.missing:
        found = place(nodes(items), workload.pod, workload.size)
    if found.missing:
        # Nodes of another kind are no help: those that lack only room say what an update waits for.
        short = [reason for reason in found.reasons if reason.endswith(FREE)] or list(found.reasons)
        return Spare("", "; ".join(short[:3]) or "there is no node")
    surging = [replace(each, replicas=each.replicas + (each is workload)) for each in workloads]
    present = [each for each in items if each["metadata"].get("uid") in own]
    over = next(of_quotas(quotas, surging, present), None)
    return Spare("", over.what) if over else Spare(", ".join(found.on))


def told(workload: Workload, room: Spare | None, change: Change | None) -> str:
    """How the pods of a workload are replaced, and what serves meanwhile.

    Args:
        room: None where nobody knows.
        change: what becomes of it; None where it stays as it is.
    """
    name, count = workload.name, workload.replicas
    pods = "pod" if workload.component != "replica" else "replica"
    many = f"{count} {pods}{'s' if count != 1 else ''}"
    begin = f"{name}: {many}"
    if change is None or not (change.restarts or change.action == "add"):
        return f"{begin}, no restart"
    if workload.surge:
        where = f" (room on {room.node})" if room and room.node else ""
        how = f"a new one starts before an old one ends{where}; none is missing meanwhile"
    else:
        reason = f", since there is no room for one more ({room.why_not})" if room and room.why_not else ""
        left = f"{count - 1} of {count} serve meanwhile" if count > 1 else "nothing serves meanwhile"
        how = f"in place, one ends before its successor starts{reason}; {left}"
    return f"{begin}, new; an update: {how}" if change.action == "add" else f"{begin} restart: {how}"


def deadlock(workload: Workload, room: Spare | None, change: Change | None) -> Objection | None:
    """An update that would wait for ever: it asks for room that is not there."""
    if change and change.restarts and workload.surge and room and not room.node:
        return Objection(
            f"{workload.name} is to start a new pod before an old one ends, and there is no room for one"
            f" more: {room.why_not}",
            "set its rollout to replace in the values",
            "verdict",
        )
    return None
