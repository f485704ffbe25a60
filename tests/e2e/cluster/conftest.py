"""What `make cluster-demo` leaves running, in a namespace of these tests' own: made once, for all of them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from scripts.cluster_demo.requantize import CRONJOB
from shipfit.artifacts import ManifestDraft, Store
from shipfit.artifacts.address import objects_at
from shipfit.core.progress import NoProgress
from shipfit.spec import Deployment, load
from tests.integration.helm.charts import free_ports, merged
from tests.integration.kubernetes import Namespace
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[3]
NAMESPACE = "shipfit-e2e"
RELEASE = "gemma-3-270m"
DEMO_S = 1500
COMMAND_S = 900
RUN_S = 300


@dataclass
class Service:
    """The demonstration as its user has it.

    Attributes:
        folder: of its deployment's file, and of the values beside it.
        environment: what commands run with; the store is reached by it.
    """

    namespace: Namespace
    folder: Path
    environment: dict[str, str]

    @property
    def file(self) -> Path:
        """Of the deployment."""
        return self.folder / "gemma-3-270m.yaml"

    @property
    def deployment(self) -> Deployment:
        """What it says."""
        return load(self.file, Deployment)

    def shipfit(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return subprocess.run(
            [sys.executable, "-m", "shipfit", *words, "--progress=plain"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )

    def carry_out(self, *words: str | Path) -> None:
        """Run a command that changes what is served, and must succeed."""
        said = self.shipfit(*words, "--yes")
        assert said.returncode == 0, said.stdout + said.stderr

    def changed(self, spec: dict[str, Any] | None = None, values: dict[str, Any] | None = None) -> Path:
        """Another file of the same deployment: with other fields, or values merged over its own."""
        folder = self.folder / "changed"
        folder.mkdir(exist_ok=True)
        document = yaml.safe_load(self.file.read_text()) | (spec or {})
        own = yaml.safe_load((self.folder / document["cluster"]["values"]).read_text())
        (folder / document["cluster"]["values"]).write_text(yaml.safe_dump(merged(own, values or {})))
        document["chat_template"] = str(self.folder / document["chat_template"])
        (folder / self.file.name).write_text(yaml.safe_dump(document))
        return folder / self.file.name

    def all_pods(self, component: str = "replica") -> list[dict[str, Any]]:
        """The pods of the release, also those that are ending."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
        return list(self.namespace.get("pods", f"--selector={selector}")["items"])

    def pods(self, component: str = "replica") -> list[dict[str, Any]]:
        """The pods of the release that are not ending."""
        return [each for each in self.all_pods(component) if "deletionTimestamp" not in each["metadata"]]

    def ready(self, component: str = "replica") -> list[str]:
        """Names of those that are ready."""
        return [
            each["metadata"]["name"]
            for each in self.pods(component)
            if any(
                c["type"] == "Ready" and c["status"] == "True" for c in each["status"].get("conditions", [])
            )
        ]

    def wait_available(self, replicas: int = 2, routers: int = 2, seconds: float = 300) -> None:
        """Until so many pods are available, and no other is there: ready for so long that the routers know of them."""
        wanted = {"replica": replicas, "router": routers}

        def all_there() -> bool:
            found = self.namespace.get("deployments", f"--selector=app.kubernetes.io/instance={RELEASE}")[
                "items"
            ]
            counts = {
                each["metadata"]["labels"]["app.kubernetes.io/component"]: (
                    each["status"].get("replicas"),
                    each["status"].get("availableReplicas"),
                )
                for each in found
            }
            return counts == {kind: (number, number) for kind, number in wanted.items()}

        eventually(all_there, seconds, every=1)

    def served(self) -> str:
        """The artifact that the release says it serves: its fingerprint."""
        said = self.shipfit("status", self.file, "--json")
        return str(json.loads(said.stdout)["record"]["artifact"]["fingerprint"])

    def answers(self, patience: float = 120) -> bool:
        """Whether a completion comes through the router, and in so many seconds."""
        body = {"model": RELEASE, "prompt": "Water boils at", "max_tokens": 4}
        headers = {"authorization": f"Bearer {self.key}"}
        with self.namespace.forwarded(f"{RELEASE}-router", 80) as port:
            address = f"http://127.0.0.1:{port}/v1/completions"
            answer = httpx.post(address, json=body, headers=headers, timeout=patience)
        return answer.status_code == httpx.codes.OK

    def run_schedule(self) -> str:
        """Begin what the schedule would begin; what it said, once it went well."""
        space, name = self.namespace, f"now-{int(time.time())}"
        space.kubectl("create", "job", f"--from=cronjob/{CRONJOB}", name)

        def conditions() -> set[str]:
            return {each["type"] for each in space.get(f"job/{name}")["status"].get("conditions", ())}

        eventually(lambda: {"Complete", "Failed"} & conditions(), RUN_S, every=1)
        said = space.kubectl("logs", f"job/{name}", "--all-containers", "--ignore-errors")
        assert "Complete" in conditions(), said
        return said

    def reach_store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the test itself reach the store, as commands do."""
        for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, self.environment[name])

    def publish_again(self, monkeypatch: pytest.MonkeyPatch, channel: str) -> str:
        """Publish what is served once more, as another artifact: the same bytes, and the channel that points to it."""
        self.reach_store(monkeypatch)
        name, _, served = str(self.deployment.artifact).partition("@")
        store = Store(objects_at(str(self.deployment.store)))
        there = store.manifest(name, store.resolve(name, served))
        assert there
        fields = {field: getattr(there, field) for field in ManifestDraft.model_fields}
        another = hashlib.sha256(f"{there.fingerprint} {channel}".encode()).hexdigest()
        bytes_of = self.folder / "files"
        store.fetch(there, bytes_of, NoProgress())
        store.publish(bytes_of, ManifestDraft(**fields | {"fingerprint": another}), NoProgress())
        store.promote(name, channel, another)
        return f"{name}@{channel}"

    @property
    def key(self) -> str:
        """The key that clients send."""
        return base64.b64decode(self.namespace.get("secret/api-keys")["data"]["api-key"]).decode()


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The demonstration, up; skips where the cluster or the image cannot be had."""
    if "KUBECONFIG" not in os.environ or shutil.which("helm") is None:
        pytest.skip(
            "no cluster: have kubectl and helm and name one by KUBECONFIG, such as that of `kind create cluster`"
        )
    if "IMAGE_LOAD" not in os.environ:
        pytest.skip("nothing brings images to the cluster: IMAGE_LOAD='kind load image-archive' does")
    folder = tmp_path_factory.mktemp("service")
    for file in (REPOSITORY / "deploy" / "test-cluster").iterdir():
        shutil.copy(file, folder)
    shutil.copy(REPOSITORY / "deploy" / "demo" / "plain-chat.jinja", folder)
    spec = yaml.safe_load((folder / "gemma-3-270m.yaml").read_text())
    spec["cluster"]["namespace"] = NAMESPACE
    spec["chat_template"] = "plain-chat.jinja"
    (spec["router"]["port"],) = free_ports(1)
    (folder / "gemma-3-270m.yaml").write_text(yaml.safe_dump(spec))
    environment = {**os.environ, "SHIPFIT_STATE_DIR": str(folder / "state")}
    made = Service(Namespace(NAMESPACE), folder, environment)
    demo(made, DEMO_S)
    with made.namespace.forwarded("store", 8333) as port:
        keys = made.namespace.get("secret/store")["data"]
        environment |= {name: base64.b64decode(value).decode() for name, value in keys.items()}
        environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        yield made
    demo(made, 300, "--down")


def demo(service: Service, seconds: float, *words: str) -> str:
    """Run the demonstration's program, which must succeed; what it says in the end."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cluster_demo", service.file, *words],
        env=service.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
