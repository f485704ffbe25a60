"""Where the demonstration is: a namespace with its Secrets and an object store."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from shipfit.artifacts.address import objects_at
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.serve.cluster.address import reached
from shipfit.serve.cluster.check import KUBERAY, api_groups
from shipfit.serve.cluster.target import Target, target_of
from shipfit.spec import Deployment, load

_STORE_PORT = 8333
_REGION = "us-east-1"
_NOTES = "demo.shipfit"
_STORE = "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class Place:
    """A namespace, and what the deployment's values say of it.

    Attributes:
        image: what every pod runs.
        values: the deployment's file of values.
        key: the Secret with the API keys.
        store: the Secret with the store's keys.
    """

    target: Target
    image: str
    values: Path
    key: str
    store: str

    @property
    def namespace(self) -> str:
        """Its name."""
        return self.target.cluster.namespace

    def require_kuberay(self) -> None:
        """See that the cluster runs RayJobs.

        Raises:
            EnvironmentFailure: it does not, or is out of reach.
        """
        if KUBERAY not in api_groups(self.target.kubectl):
            raise EnvironmentFailure(
                "the cluster has no KubeRay operator",
                hint="`helm install kuberay-operator kuberay-operator"
                " --repo https://ray-project.github.io/kuberay-helm/`",
            )

    def create(self) -> None:
        """Make the namespace and its Secrets, where they are not there yet.

        Raises:
            EnvironmentFailure: the cluster does not let us.
        """
        if not self.exists:
            self.target.kubectl.run("create", "namespace", self.namespace)
        enforced = "pod-security.kubernetes.io/enforce=restricted"
        self.target.kubectl.run("label", "--overwrite", f"namespace/{self.namespace}", enforced)
        self._secret(self.key, {"api-key": f"sk-{secrets.token_hex(24)}"})
        keys = (f"http://store:{_STORE_PORT}", _REGION, secrets.token_hex(10), secrets.token_hex(20))
        self._secret(self.store, dict(zip(_STORE, keys, strict=True)))

    def start_store(self) -> None:
        """Start the object store, where it does not run yet.

        Raises:
            EnvironmentFailure: it does not start.
        """
        described = Path(__file__).with_name("store.yaml")
        self.target.kubectl.run(
            "apply", "--filename=-", stdin=described.read_text().replace("${IMAGE}", self.image)
        )
        self.target.kubectl.run("wait", "--for=condition=Ready", "pod/store", "--timeout=120s", timeout=130)
        url = self.target.deployment.store
        assert url
        with self.stored():  # SeaweedFS makes a bucket as something is put into it
            objects_at(url).write("about.txt", b"made by scripts/cluster_demo\n", "making the bucket")

    @contextmanager
    def stored(self) -> Iterator[None]:
        """The store is reached from here, as this process' environment says, while the block runs."""
        found = self.target.kubectl.items(f"secret/{self.store}")[0]["data"]
        with reached(self.target, "service/store", str(_STORE_PORT)) as url:
            for name in _STORE:
                os.environ[name] = base64.b64decode(found[name]).decode()
            os.environ["AWS_ENDPOINT_URL"] = url
            yield

    @property
    def exists(self) -> bool:
        """Whether there is the namespace."""
        return bool(
            self.target.kubectl.items("namespace", f"--field-selector=metadata.name={self.namespace}")
        )

    def noted(self, name: str) -> str:
        """What an earlier run noted at the namespace; empty where none did."""
        annotations = self.target.kubectl.items(f"namespace/{self.namespace}")[0]["metadata"].get(
            "annotations", {}
        )
        return str(annotations.get(f"{_NOTES}/{name}", ""))

    def note(self, name: str, value: str) -> None:
        """Note something for the next run."""
        self.target.kubectl.run(
            "annotate", "--overwrite", f"namespace/{self.namespace}", f"{_NOTES}/{name}={value}"
        )

    def remove(self) -> None:
        """Remove the namespace, and all in it.

        Raises:
            EnvironmentFailure: it does not end.
        """
        self.target.kubectl.run("delete", "namespace", self.namespace, "--timeout=300s", timeout=310)

    def _secret(self, name: str, data: dict[str, str]) -> None:
        if self.target.kubectl.items("secrets", f"--field-selector=metadata.name={name}"):
            return
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        self.target.kubectl.run("create", "--filename=-", stdin=json.dumps(secret))


def place_of(file: Path) -> Place:
    """The place that a deployment's file and its values name.

    Raises:
        InputError: they do not say what a demonstration needs.
    """
    target = target_of(load(file, Deployment))
    if target.file is None:
        raise InputError("names no file of values", where=str(file), field="cluster.values")
    values = yaml.safe_load(target.file.read_text())
    try:
        found = values["shipfit"]["image"]
        image = f"{found['repository']}:{found['tag']}"
        return Place(
            target, image, target.file, values["router"]["apiKey"]["secret"], values["store"]["secret"]
        )
    except KeyError as error:
        raise InputError(
            f"does not say {error}", hint="see deploy/test-cluster", where=str(target.file)
        ) from error
