"""A real cluster, whichever KUBECONFIG names, through kubectl; and images that let its pods run shipfit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shipfit.environments import Environment

needs_cluster = pytest.mark.skipif(
    "KUBECONFIG" not in os.environ or shutil.which("kubectl") is None,
    reason="no cluster: have kubectl and name one by KUBECONFIG, such as that of `kind create cluster`",
)

_USER = 10001  # that of containers/Containerfile


@dataclass(frozen=True)
class Namespace:
    """A namespace of one test's own."""

    name: str

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl in it and return what it prints; fails the test with kubectl's own words."""
        done = subprocess.run(
            self._command(*words), input=stdin, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            pytest.fail(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        """What ``kubectl get`` finds."""
        return dict(json.loads(self.kubectl("get", *words, "--output=json")))

    def apply(self, documents: Sequence[dict[str, Any]]) -> None:
        """Make what the documents describe."""
        items = {"apiVersion": "v1", "kind": "List", "items": documents}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(items))

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[int]:
        """The port of this machine that leads to a service while the block runs."""
        command = self._command("port-forward", f"service/{service}", f":{port}", "--address=127.0.0.1")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
            try:
                assert forwarding.stdout
                said = forwarding.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", said)
                assert found, said
                yield int(found[1])
            finally:
                forwarding.kill()

    def _command(self, *words: str) -> list[str]:
        return ["kubectl", f"--namespace={self.name}", *words]


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A namespace that ends with the block, and all in it."""
    made = Namespace(f"shipfit-{uuid.uuid4().hex[:8]}")
    made.kubectl("create", "namespace", made.name)
    try:
        yield made
    finally:
        made.kubectl("delete", "namespace", made.name, "--wait=false")


@dataclass(frozen=True)
class Image:
    """An image with shipfit, Ray and engines.

    Attributes:
        name: of the image.
        borrowed: what it takes from the node, which is this machine then: folders, at the same place there.
        variables: what the containers' environment says besides.
    """

    name: str
    borrowed: tuple[Path, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def put_into(self, pod: dict[str, Any]) -> None:
        """Make a pod's spec run the image."""
        mounts = [
            {"name": f"borrowed-{number}", "mountPath": str(path), "readOnly": True}
            for number, path in enumerate(self.borrowed)
        ]
        for container in pod["containers"]:
            container["image"] = self.name
            container["env"] = [{"name": name, "value": value} for name, value in self.variables]
            container["volumeMounts"] = [*container.get("volumeMounts", []), *mounts]
        pod["volumes"] = [
            *pod.get("volumes", []),
            *({"name": each["name"], "hostPath": {"path": each["mountPath"]}} for each in mounts),
        ]
        pod["securityContext"] = {"runAsUser": _USER, **pod.get("securityContext", {})}


def image(repository: Path, environments: Sequence[Environment]) -> Image:
    """The image that the environment names; skips the test where it names none.

    Args:
        repository: the checkout.
        environments: what the pods run besides shipfit and Ray.
    """
    if name := os.environ.get("SHIPFIT_TEST_RAY_IMAGE"):
        return Image(name)
    names = " ".join(each.name for each in environments)
    name = os.environ.get("SHIPFIT_TEST_HOST_IMAGE")
    if not name:
        pytest.skip(
            f'no image for the pods: `containers/build IMAGE --engines "{names}"`, push it to where the cluster'
            " finds it and set SHIPFIT_TEST_RAY_IMAGE to it"
        )
    pythons = (Path(sys.base_prefix), *(each.python.resolve().parents[1] for each in environments))
    system = (Path("/usr"), Path("/etc/ssl/certs"))
    folders = {*system, repository, Path(sys.prefix), *pythons, *(each.prefix for each in environments)}
    variables = {
        "HOME": "/tmp",  # noqa: S108 - as in containers/Containerfile
        "PATH": f"{sys.prefix}/bin:/usr/bin",
        "SHIPFIT_ENVIRONMENTS_DIR": str(environments[0].prefix.parent),
    }
    outermost = (each for each in folders if not folders.intersection(each.parents))
    return Image(name, tuple(sorted(outermost)), tuple(variables.items()))
