"""What a cluster must have, and what parts of shipfit need besides: for ``shipfit doctor --cluster``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator

from shipfit.core.errors import InputError, ShipfitError
from shipfit.core.machine import Check
from shipfit.hardware import gpu
from shipfit.serve.cluster.gpus import count_free, nodes_and_pods
from shipfit.serve.cluster.kubectl import Kubectl
from shipfit.serve.cluster.preflight import LEAST_VERSION
from shipfit.serve.cluster.survey import server_version

KUBERAY = "ray.io/v1"
"""The group of the API that RayJobs are in: there where KubeRay is installed."""
_OPTIONAL = {
    "monitoring.coreos.com/v1": ("Prometheus operator", "monitoring.podMonitor and monitoring.rules"),
    "keda.sh/v1alpha1": ("KEDA", "autoscaling"),
    "leaderworkerset.x-k8s.io/v1": ("LeaderWorkerSet", "replicas that span machines"),
    "gateway.networking.k8s.io/v1": ("Gateway API", "httpRoute"),
    KUBERAY: ("KubeRay", "pipelines as RayJobs"),
}
"""Groups of the API by version: whose they are, and what needs them."""


def check_cluster(context: str | None) -> list[Check]:
    """Look at a cluster.

    Args:
        context: of the kubeconfig; None for the current one.
    """
    checks = [_program("kubectl"), _program("helm")]
    if not checks[0].ok:
        return checks
    kubectl = Kubectl(context)
    reached = _asked("cluster", lambda: _version(kubectl))
    if not reached.ok:
        return [*checks, reached]
    return [*checks, reached, _asked("GPUs", lambda: _gpus(kubectl)), *_groups(kubectl)]


def api_groups(kubectl: Kubectl) -> set[str]:
    """The groups of a cluster's API, each with its version: ``ray.io/v1``.

    Raises:
        EnvironmentFailure: the cluster is out of reach.
    """
    groups = json.loads(kubectl.run("get", "--raw", "/apis"))["groups"]
    return {version["groupVersion"] for group in groups for version in group["versions"]}


def _program(name: str) -> Check:
    path = shutil.which(name)
    return Check(name, path or "not found", path is not None, "" if path else f"install {name}")


def _asked(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except ShipfitError as error:
        return Check(name, error.message, False, error.hint or "see whether kubectl reaches it")


def _version(kubectl: Kubectl) -> Check:
    found, least = server_version(kubectl), LEAST_VERSION
    ok = found >= least
    need = f"update it to {least[0]}.{least[1]} or newer"
    return Check("cluster", f"Kubernetes {found[0]}.{found[1]}", ok, "" if ok else need)


def _gpus(kubectl: Kubectl) -> Check:
    """GPUs that are free, and whether the catalogue knows their kinds."""
    free = count_free(nodes_and_pods(kubectl))
    strange = [label for label in free if not _known(label)]
    found = ", ".join(f"{sum(machines)} x {label}" for label, machines in free.items()) or "none is free"
    advice = f"add {', '.join(strange)} to gpus.yaml" if strange else ""
    if not free:
        advice = "a device plugin offers them, and a discovery labels nodes (nvidia.com/gpu.product)"
    return Check("free GPUs", found, bool(free) and not strange, advice, required=False)


def _known(label: str) -> bool:
    try:
        gpu(label)
    except InputError:
        return False
    return True


def _groups(kubectl: Kubectl) -> Iterator[Check]:
    there = api_groups(kubectl)
    for group, (name, needs) in _OPTIONAL.items():
        ok = group in there
        advice = "" if ok else f"{needs} need it"
        yield Check(name, group if ok else f"no {group}", ok, advice, required=False)
