from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure, VerdictError
from shipfit.serve.cluster.gpus import count_free, free_gpus
from shipfit.serve.planning import pools_of_cluster

A100 = "NVIDIA-A100-SXM4-80GB"


def node(
    name: str, *, labels: dict[str, str] | None = None, ready: str = "True", **offers: int
) -> dict[str, Any]:
    offered = {f"nvidia.com/{resource.replace('_', '-')}": str(number) for resource, number in offers.items()}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {"nvidia.com/gpu.product": A100}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "96", **offered},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def container(gpus: int, **others: str) -> dict[str, Any]:
    return {"resources": {"limits": {"cpu": "1", "nvidia.com/gpu": str(gpus)}}, **others}


def pod(
    on: str | None, *containers: dict[str, Any], phase: str = "Running", first: Any = ()
) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": list(containers), "initContainers": list(first)}
    return {
        "kind": "Pod",
        "metadata": {},
        "spec": spec | ({"nodeName": on} if on else {}),
        "status": {"phase": phase},
    }


def test_what_pods_ask_for_is_not_free() -> None:
    items = [node("a", gpu=8), node("b", gpu=8), pod("a", container(2), container(1)), pod("b", container(8))]
    assert {A100: (5,)} == count_free(items)


def test_pods_that_have_ended_or_wait_hold_nothing() -> None:
    items = [
        node("a", gpu=8),
        pod("a", container(4), phase="Succeeded"),
        pod(None, container(4), phase="Pending"),
    ]
    assert {A100: (8,)} == count_free(items)


def test_what_runs_before_holds_as_much_as_its_largest() -> None:
    sidecar = container(1, restartPolicy="Always")
    items = [node("a", gpu=8), pod("a", container(1), first=[container(3), container(2), sidecar])]
    assert {A100: (5,)} == count_free(items)


def test_nodes_that_take_no_pods_offer_nothing() -> None:
    cordoned = node("c", gpu=8)
    cordoned["spec"]["unschedulable"] = True
    assert {A100: (8,)} == count_free([node("a", gpu=8), node("b", gpu=8, ready="Unknown"), cordoned])


def test_kinds_are_told_apart_and_shared_gpus_left_out() -> None:
    shared = {"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.replicas": "4"}
    items = [
        node("a", gpu=4),
        node("b", gpu=8),
        node("c", gpu=2, labels={"nvidia.com/gpu.product": "NVIDIA-L40S"}),
        node("d", gpu=4, labels=shared),
        node("e", gpu=4, labels={"other": "label"}),
        {"kind": "ConfigMap", "metadata": {"name": "else"}},
    ]
    assert {A100: (8, 4), "NVIDIA-L40S": (2,)} == count_free(items)


def test_mig_slices_are_kinds_of_their_own_and_reach_no_other() -> None:
    items = [{**node("a", gpu=1)}]
    items[0]["status"]["allocatable"]["nvidia.com/mig-3g.40gb"] = "4"
    free = count_free(items)
    assert {A100: (1,), f"{A100}-MIG-3g.40gb": (4,)} == free
    pools, unknown = pools_of_cluster(free)
    assert [("A100-SXM4-80GB", (1,)), ("A100-SXM4-80GB:3g.40gb", (1, 1, 1, 1))] == [
        (pool.gpu.name, pool.machines) for pool in pools
    ]
    assert [] == unknown


def test_kinds_that_the_catalogue_does_not_know_are_said() -> None:
    pools, unknown = pools_of_cluster({A100: (8,), "ACME-9000": (4, 4)})
    assert ["A100-SXM4-80GB"] == [pool.gpu.name for pool in pools]
    assert ["ACME-9000"] == [each.option for each in unknown]
    assert unknown[0].reason.startswith("8 are free, but no GPU is called 'ACME-9000'; add it to gpus.yaml")


@pytest.mark.parametrize(
    ("free", "words"),
    [
        ({}, "the cluster has no GPU free; see"),
        ({"ACME-9000": (1,)}, "the cluster has no GPU free of a kind that is known (free: ACME-9000); see"),
    ],
)
def test_no_gpu_is_a_verdict(free: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(VerdictError) as caught:
        pools_of_cluster(free)
    assert words in str(caught.value)


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a kubectl that runs a script before every other."""
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_nodes_and_pods_are_read_by_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl(tmp_path, monkeypatch, f"echo '{json.dumps({'items': [node('a', gpu=8)]})}'")
    assert {A100: (8,)} == free_gpus()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo hello", "did not print objects (JSONDecodeError"),
        ("echo '{}'", "did not print objects (KeyError: 'kind')"),
        ("echo '[]'", "did not print objects (AttributeError"),
        ("""echo '{"items": [{"kind": "Node"}]}'""", "did not print objects (KeyError: 'metadata')"),
        ("echo no cluster >&2; exit 1", "ended with code 1: no cluster; name the cluster by KUBECONFIG"),
    ],
)
def test_a_kubectl_that_says_something_else_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    kubectl(tmp_path, monkeypatch, script)
    with pytest.raises(EnvironmentFailure) as caught:
        free_gpus()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_kubectl_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match="there is no kubectl on the PATH; install it"):
        free_gpus()
