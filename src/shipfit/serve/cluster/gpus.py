"""The GPUs of a Kubernetes cluster, read from its nodes and pods.

A node's kind of GPU is a label that its vendor's discovery sets; how many it offers are its allocatable resources,
slices by MIG among them; less what its pods ask for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from shipfit.core.errors import InputError
from shipfit.hardware import Gpu, gpu
from shipfit.serve.cluster.kubectl import Kubectl, Object
from shipfit.serve.cluster.programs import require
from shipfit.serve.cluster.room import nodes

_LABELS = {
    "nvidia.com/gpu": "nvidia.com/gpu.product",  # GPU feature discovery
    "amd.com/gpu": "amd.com/gpu.product-name",  # AMD's node labeller
}
"""Resources that are GPUs, and the label that names their kind."""

_MIG = "nvidia.com/mig-"
_SHARED = "nvidia.com/gpu.replicas"  # above 1 where GPUs are shared by time, so that none is whole


@dataclass(frozen=True)
class Offer:
    """GPUs of a kind on a node.

    Attributes:
        kind: the label that says which; a MIG slice is ``<product>-MIG-<profile>``.
        resource: what a pod asks for to get one.
        selector: the node label that finds them, and its value.
        node: the node's name.
        offered: how many the node has.
        free: how many of them no pod holds.
    """

    kind: str
    resource: str
    selector: tuple[str, str]
    node: str
    offered: int
    free: int


def free_gpus(kubectl: Kubectl | None = None) -> dict[str, tuple[int, ...]]:
    """Free GPUs of a cluster, of kubectl's current context by default: by kind, how many on each node.

    Raises:
        EnvironmentFailure: there is no kubectl, or the cluster does not answer with nodes and pods.
    """
    return count_free(nodes_and_pods(kubectl or Kubectl()))


def nodes_and_pods(kubectl: Kubectl) -> list[Object]:
    """Every node of the cluster and every pod.

    Raises:
        EnvironmentFailure: there is no kubectl, or the cluster does not answer with nodes and pods.
    """
    require("kubectl", ", or name the GPUs under hardware")
    return kubectl.items("nodes,pods", "--all-namespaces")


def count_free(items: Sequence[Object], without: Collection[str] = ()) -> dict[str, tuple[int, ...]]:
    """Free GPUs by kind, how many on each node: largest number first; kinds without a free one are left out.

    Args:
        items: Kubernetes objects; others than nodes and pods are passed over.
        without: uids of pods that are counted as gone.
    """
    found: dict[str, list[int]] = {}
    for each in _offers(items, without):
        if each.free > 0:
            found.setdefault(each.kind, []).append(each.free)
    return {kind: tuple(sorted(free, reverse=True)) for kind, free in sorted(found.items())}


def offer_of(kind: Gpu, items: Sequence[Object], without: Collection[str] = ()) -> Offer | None:
    """How a cluster calls a kind of GPU of the catalogue, where most of it is free; None where it has none.

    Args:
        items: nodes and pods.
        without: uids of pods that are counted as gone.
    """
    found = [each for each in _offers(items, without) if _is(each.kind, kind)]
    return max(found, key=lambda each: each.free, default=None)


def _is(label: str, kind: Gpu) -> bool:
    try:
        return gpu(label).name == kind.name
    except InputError:
        return False


def _offers(items: Sequence[Object], without: Collection[str] = ()) -> Iterator[Offer]:
    free = {node.name: node.free for node in nodes(items, without)}
    for node in items:
        if node["kind"] == "Node" and (name := node["metadata"]["name"]) in free:
            for kind, resource, selector, offered in _offered(node):
                yield Offer(kind, resource, selector, name, offered, int(free[name][resource]))


def _offered(node: Object) -> Iterator[tuple[str, str, tuple[str, str], int]]:
    """Kind of GPU, resource, selector and number of each that a node offers."""
    labels = node["metadata"].get("labels", {})
    if int(labels.get(_SHARED, "1")) > 1:
        return
    for resource, number in node.get("status", {}).get("allocatable", {}).items():
        label = _LABELS.get("nvidia.com/gpu" if resource.startswith(_MIG) else resource, "")
        if product := labels.get(label):
            profile = f"-MIG-{resource.removeprefix(_MIG)}" if resource.startswith(_MIG) else ""
            yield f"{product}{profile}", resource, (label, product), int(number)
