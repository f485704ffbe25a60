"""A store with artifacts that are small and say that they are large models, and simulated nodes with GPUs."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipfit.artifacts import (
    Dataset,
    Engine,
    GateResult,
    ManifestDraft,
    Source,
    Store,
    open_store,
    weed,
)
from shipfit.artifacts.address import objects_at
from shipfit.core.progress import NoProgress
from shipfit.spec import Deployment, load
from tests.integration.helm.charts import merged
from tests.integration.kubernetes import Namespace, namespace
from tests.integration.s3 import store_in

DIGEST = "a" * 64
A100 = "NVIDIA-A100-SXM4-80GB"


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store of these tests' own; credentials and address are in the environment."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch, store_in(folder) as variables:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield f"s3://{weed.BUCKET}"


Publish = Callable[..., str]


@pytest.fixture
def publish(store_url: str, tmp_path: Path) -> Publish:
    """Publishes an artifact of a few bytes that says what it was made from; returns its fingerprint."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")

    def publish(name: str, model: str, precision: str, content: str, channel: str = "stable") -> str:
        draft = ManifestDraft(
            name=name,
            fingerprint=hashlib.sha256(f"{name} {content}".encode()).hexdigest(),
            source=Source(model=model, revision="r1"),
            recipe={"precision": precision},
            engine=Engine(name="llm-compressor", version="0.13.0", lock_sha256=DIGEST),
            dataset=Dataset(calibration_sha256=DIGEST, gate_sha256=DIGEST),
            gate=GateResult(passed=True, figures={"mean_kl": 0.05}, limits={"max_mean_kl": 0.1}),
            source_bytes=1000,
        )
        store = Store(objects_at(store_url))
        made = store.publish(folder, draft, NoProgress())
        store.promote(name, channel, made.fingerprint)
        return made.fingerprint

    return publish


@dataclass
class Site:
    """A namespace of one test's own, its own simulated nodes, and deployments that go nowhere else.

    Attributes:
        folder: for files of specs and values.
        nodes: names of its nodes.
    """

    namespace: Namespace
    folder: Path
    store: str
    nodes: list[str] = field(default_factory=list)

    def node(self, name: str, product: str | None = None, **resources: int) -> str:
        """Add a node; GPUs by resource: ``gpu=2``, ``mig_3g_40gb=4``."""
        full = f"{self.namespace.name}-{name}"
        offered = {f"nvidia.com/{_resource(key)}": str(number) for key, number in resources.items()}
        capacity = {"cpu": "64", "memory": "512Gi", "pods": "50", "ephemeral-storage": "2Ti", **offered}
        labels = {
            "kubernetes.io/hostname": full,
            "kubernetes.io/os": "linux",
            "shipfit-test": self.namespace.name,
        }
        node: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": full, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": labels},
            "status": {"capacity": capacity, "allocatable": capacity},
        }
        if product:
            labels["nvidia.com/gpu.product"] = product
            taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
            node["spec"] = {"taints": [taint]}
        self.nodes.append(full)
        assert kubectl("apply", "--filename=-", stdin=json.dumps(node))
        if not kubectl("wait", "--for=condition=Ready", f"node/{full}", "--timeout=60s"):
            pytest.skip("the cluster simulates no nodes: run KWOK in it (https://kwok.sigs.k8s.io)")
        return full

    def deployment(self, values: dict[str, Any] | None = None, **spec: Any) -> Deployment:
        """A deployment whose pods go to this test's nodes only."""
        here = {"nodeSelector": {"shipfit-test": self.namespace.name}}
        owners = {"models": {"main": {"placement": here}}, "router": {"placement": here, "replicas": 1}}
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(merged(owners, values or {})))
        document = {
            "apiVersion": "shipfit/v1",
            "kind": "Deployment",
            "name": "chat",
            "store": self.store,
            "promise": {"context": 8192, "concurrency": 8},
            "cluster": {"namespace": self.namespace.name, "values": file.name},
            **spec,
        }
        path = self.folder / "chat.yaml"
        path.write_text(yaml.safe_dump(document))
        return load(path, Deployment)

    def quota(self, name: str, resource: str, amount: str) -> None:
        """Limit a resource of the namespace, and wait until the cluster counts it."""
        self.namespace.kubectl("create", "quota", name, f"--hard={resource}={amount}")
        escaped = resource.replace(".", "\\.")
        counted = f"--for=jsonpath={{.status.hard.{escaped}}}={amount}"
        self.namespace.kubectl("wait", f"resourcequota/{name}", counted, "--timeout=60s")

    def pods(self, component: str = "replica") -> list[dict[str, Any]]:
        """The pods of a kind that are not ending."""
        found = self.namespace.get("pods", f"--selector=app.kubernetes.io/component={component}")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def fingerprints(self) -> list[str]:
        """The artifacts that the replicas' pods fetch, one for each pod."""
        return sorted(each["spec"]["initContainers"][0]["args"][3] for each in self.pods())

    def places(self) -> list[str]:
        """On which of this test's nodes the replicas are."""
        prefix = f"{self.namespace.name}-"
        return sorted(each["spec"]["nodeName"].removeprefix(prefix) for each in self.pods())


@pytest.fixture
def site(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A namespace and a node for what needs no GPU; skips where the cluster simulates no nodes."""
    if shutil.which("helm") is None:
        pytest.skip("no helm: install it (https://helm.sh/docs/intro/install)")
    monkeypatch.setenv("SHIPFIT_STATE_DIR", str(tmp_path / "state"))
    with namespace() as own:
        made = Site(own, tmp_path, store_url)
        try:
            made.node("cpu")
            yield made
        finally:
            for node in made.nodes:
                assert kubectl("delete", "node", node, "--wait=false")


@pytest.fixture
def pinned(store_url: str) -> Callable[[str], set[str]]:
    """The fingerprints of a name that are pinned."""

    def pinned(name: str) -> set[str]:
        with open_store(store_url, NoProgress()) as store:
            return {each.fingerprint for each in store.pins(name)}

    return pinned


def kubectl(*words: str, stdin: str | None = None) -> bool:
    """Run kubectl on what lies in no namespace; whether it succeeded."""
    argv = ["kubectl", *words]
    return subprocess.run(argv, input=stdin, text=True, capture_output=True, check=False).returncode == 0


def _resource(key: str) -> str:
    return "gpu" if key == "gpu" else f"mig-{key.removeprefix('mig_').replace('_', '.')}"
