"""The GPUs of a real cluster, whatever KUBECONFIG names: read, taken by a pod, and planned for."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipfit.cli import main
from shipfit.core import process
from shipfit.serve.cluster.gpus import free_gpus
from shipfit.serve.planning import pools_of_cluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        "KUBECONFIG" not in os.environ or shutil.which("kubectl") is None,
        reason="no cluster: have kubectl and name one by KUBECONFIG, such as that of `kind create cluster`",
    ),
]


@pytest.fixture
def free() -> dict[str, tuple[int, ...]]:
    found = free_gpus()
    if not found:
        pytest.skip(
            "no GPU is free in the cluster; `kubectl label node NAME nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB` and "
            "`kubectl patch node NAME --subresource=status --type=merge --patch "
            '\'{"status": {"capacity": {"nvidia.com/gpu": "8"}}}\'` simulate some'
        )
    return found


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of this test's own."""
    name = f"shipfit-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def kubectl(*words: str) -> list[str]:
    return process.run(["kubectl", *words], doing=f"kubectl {words[0]}", timeout=120)


def pod(label: str) -> str:
    """A pod that asks for one GPU of a kind and needs nothing else."""
    spec = {
        "nodeSelector": {"nvidia.com/gpu.product": label},
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "holder",
                "image": "registry.k8s.io/pause:3.10",
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }
        ],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "holder"}, "spec": spec})


def test_a_pod_takes_a_gpu_from_what_is_free(
    free: dict[str, tuple[int, ...]], namespace: str, tmp_path: Path
) -> None:
    label = next(kind for kind in free if "-MIG-" not in kind)
    (tmp_path / "pod.json").write_text(pod(label))
    kubectl("apply", "--namespace", namespace, "--filename", str(tmp_path / "pod.json"))
    kubectl("wait", "--namespace", namespace, "--for=condition=PodScheduled", "pod/holder", "--timeout=60s")
    assert sum(free[label]) - 1 == sum(free_gpus().get(label, ()))


def test_a_plan_for_what_is_free(free: dict[str, tuple[int, ...]], tmp_path: Path, capsys) -> None:
    pools, _ = pools_of_cluster(free)
    file = tmp_path / "deployment.yaml"
    file.write_text(
        "apiVersion: shipfit/v1\nkind: Deployment\nname: tiny\nmodel: bundled:gemma-3-270m\n"
        "promise: {context: 1024, concurrency: 1}\n"
    )
    assert main.run(["plan", str(file), "--cluster", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gpu"] in {pool.gpu.name for pool in pools}
