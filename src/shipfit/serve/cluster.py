"""The GPUs that a Kubernetes cluster has free, read by kubectl from its nodes and pods.

A node's kind of GPU is a label that its vendor's discovery sets; how many it offers are its allocatable resources,
slices by MIG among them; less what its pods ask for.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process, describe_exit

_LABELS = {
    "nvidia.com/gpu": "nvidia.com/gpu.product",  # GPU feature discovery
    "amd.com/gpu": "amd.com/gpu.product-name",  # AMD's node labeller
}
"""Resources that are GPUs, and the label that names their kind."""

_MIG = "nvidia.com/mig-"
_SHARED = "nvidia.com/gpu.replicas"  # above 1 where GPUs are shared by time, so that none is whole
_ENDED = ("Succeeded", "Failed")  # phases of pods that hold nothing any more
_TIMEOUT_S = 20


def free_gpus() -> dict[str, tuple[int, ...]]:
    """Free GPUs of the cluster that kubectl's current context names: by kind, how many on each node.

    Raises:
        EnvironmentFailure: there is no kubectl, or the cluster does not answer with nodes and pods.
    """
    if shutil.which("kubectl") is None:
        raise EnvironmentFailure(
            "there is no kubectl on the PATH", hint="install it, or name the GPUs under hardware"
        )
    words = ["kubectl", "get", "nodes,pods", "--all-namespaces", "--output=json"]
    lines: list[str] = []
    argv = [*words, f"--request-timeout={_TIMEOUT_S}s"]
    with Process(argv, merge=False, on_line=lines.append) as kubectl:
        code = kubectl.wait(2 * _TIMEOUT_S)
        if code != 0:
            raise EnvironmentFailure(
                f"{' '.join(words)} {describe_exit(code)}: {(kubectl.tail or ['(it printed nothing)'])[-1]}",
                hint="name the cluster by KUBECONFIG or `kubectl config use-context`",
            )
    try:
        return count_free(json.loads("\n".join(lines))["items"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFailure(
            f"{' '.join(words)} did not print nodes and pods ({type(error).__name__}: {error})",
            hint="run it by hand and see",
        ) from error


def count_free(items: list[dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    """The same from the nodes and pods themselves: largest number first; kinds without a free one are left out.

    Args:
        items: Kubernetes objects; others than nodes and pods are passed over.
    """
    taken: dict[str, Counter[str]] = {}
    for pod in items:
        node = pod.get("spec", {}).get("nodeName")
        if pod["kind"] == "Pod" and node and pod.get("status", {}).get("phase") not in _ENDED:
            taken.setdefault(node, Counter()).update(_asked(pod["spec"]))
    found: dict[str, list[int]] = {}
    for node in items:
        if node["kind"] == "Node" and _usable(node):
            for kind, resource, offered in _offered(node):
                free = offered - taken.get(node["metadata"]["name"], Counter())[resource]
                if free > 0:
                    found.setdefault(kind, []).append(free)
    return {kind: tuple(sorted(each, reverse=True)) for kind, each in sorted(found.items())}


def _usable(node: Mapping[str, Any]) -> bool:
    """Whether new pods go there."""
    if node.get("spec", {}).get("unschedulable"):
        return False
    conditions = node.get("status", {}).get("conditions", [])
    return all(each["status"] == "True" for each in conditions if each["type"] == "Ready")


def _offered(node: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Kind of GPU, resource and number of each that a node offers; a MIG slice is ``<product>-MIG-<profile>``."""
    labels = node["metadata"].get("labels", {})
    if int(labels.get(_SHARED, "1")) > 1:
        return
    for resource, number in node.get("status", {}).get("allocatable", {}).items():
        if product := labels.get(_LABELS.get(resource, "")):
            yield product, resource, int(number)
        elif resource.startswith(_MIG) and (product := labels.get(_LABELS["nvidia.com/gpu"])):
            yield f"{product}-MIG-{resource.removeprefix(_MIG)}", resource, int(number)


def _asked(spec: Mapping[str, Any]) -> Counter[str]:
    """What a pod holds: its containers and sidecars together, or the largest of those that run before them."""
    first = spec.get("initContainers", [])
    sidecars = [each for each in first if each.get("restartPolicy") == "Always"]
    held: Counter[str] = Counter()
    for container in (*spec.get("containers", []), *sidecars):
        held.update(_limits(container))
    for container in first:
        held |= _limits(container)
    return held


def _limits(container: Mapping[str, Any]) -> Counter[str]:
    limits = container.get("resources", {}).get("limits", {})
    return Counter(
        {name: int(number) for name, number in limits.items() if name in _LABELS or name.startswith(_MIG)}
    )
