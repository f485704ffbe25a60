"""Nodes that a cluster simulates (KWOK): pods are really scheduled to them, and then only marked as running."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.kubernetes import Namespace

PRODUCT = "NVIDIA-A100-SXM4-80GB"
RESERVED = "shipfit-test"
"""Label of the nodes of a test, so that no other pod of the cluster is looked for on them, and none of its elsewhere."""


@contextmanager
def simulated(space: Namespace, **nodes: dict[str, int]) -> Iterator[list[str]]:
    """Nodes of a test's own: by name, what each offers beside processors and memory.

    Those that offer GPUs, or slices of them, have the labels and the taint that NVIDIA's operator gives.
    """
    names = [f"{space.name}-{name}" for name in nodes]
    space.apply([_node(name, space.name, offers) for name, offers in zip(names, nodes.values(), strict=True)])
    try:
        wait = space.kubectl(
            "wait", "--for=condition=Ready", "--timeout=60s", *(f"node/{name}" for name in names)
        )
        assert wait.count("condition met") == len(names)
        yield names
    finally:
        space.kubectl("delete", "node", *names, "--wait=false")


def _node(name: str, owner: str, offers: dict[str, int]) -> dict[str, object]:
    gpus = {key: str(number) for key, number in offers.items()}
    capacity = {"cpu": "96", "memory": "1Ti", "pods": "110", "ephemeral-storage": "2Ti", **gpus}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", RESERVED: owner}
    taints = [{"key": RESERVED, "value": owner, "effect": "NoSchedule"}]
    if offers:
        labels["nvidia.com/gpu.product"] = PRODUCT
        taints.append({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": labels},
        "spec": {"taints": taints},
        "status": {"capacity": capacity, "allocatable": capacity, "phase": "Running"},
    }


def needs_simulation(space: Namespace) -> None:
    """Skips a test on a cluster that simulates no nodes."""
    try:
        with simulated(space, probe={}):
            pass
    except pytest.fail.Exception as error:
        pytest.skip(f"the cluster simulates no nodes; install KWOK there ({json.dumps(str(error)[-200:])})")
