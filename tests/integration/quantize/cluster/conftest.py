"""A Ray cluster of several nodes on this machine, and a stage that any environment can run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from shipfit.core.progress import NoProgress
from shipfit.environments import Accelerator
from shipfit.quantize.cluster import common
from shipfit.quantize.stages import Needs, Stage
from shipfit.serve.cluster.check import KUBERAY, api_groups
from shipfit.serve.cluster.kubectl import Kubectl
from tests.integration.kubernetes import Namespace, namespace
from tests.waiting import eventually

RAY = str(Path(sys.executable).with_name("ray"))
WORKER = Path(__file__).with_name("stage_worker.py")
Run = subprocess.Popen[str]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Nodes:
    """Nodes of one cluster, each in a process group of its own as if it were a machine."""

    folder: Path
    home: Path
    port: int = field(default_factory=free_port)
    dashboard: int = field(default_factory=free_port)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    def start_head(self) -> None:
        self._start(
            "--head",
            f"--port={self.port}",
            "--num-cpus=0",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard}",
            f"--ray-client-server-port={free_port()}",
            f"--temp-dir={self.folder}",
        )

    def add(self, cpus: int = 1, apart: Path | None = None) -> subprocess.Popen[bytes]:
        """One more node; what the others have in the folder ``apart``, it does not see, and they not what it has."""
        return self._start(f"--address={self.address}", f"--num-cpus={cpus}", apart=apart)

    def kill_raylet(self, node: subprocess.Popen[bytes]) -> None:
        """What is left of the node has to end by itself."""
        self._kill(node, "raylet")

    def kill_gcs(self) -> None:
        """The directory that makes a head of a node is gone."""
        self._kill(self.running[0], "gcs_server")

    def stop(self, keep: int = 0) -> None:
        """End the nodes but for the first ones, whatever state they are in."""
        ending, self.running = self.running[keep:], self.running[:keep]
        ours = [each for node in ending for each in tree(node.pid)]
        for each in ours:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(ours, timeout=5)
        for node in ending:
            node.wait()

    def _kill(self, node: subprocess.Popen[bytes], program: str) -> None:
        (found,) = [
            each for each in psutil.Process(node.pid).children(recursive=True) if each.name() == program
        ]
        found.kill()

    def _start(self, *options: str, apart: Path | None = None) -> subprocess.Popen[bytes]:
        hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(apart)]
        command = [
            *(hide if apart else []),
            RAY,
            "start",
            "--block",
            "--disable-usage-stats",
            "--object-store-memory=80000000",
            f"--dashboard-agent-listen-port={free_port()}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            *options,
        ]
        bin_folder = str(Path(sys.executable).parent)
        env = {
            **os.environ,
            **common._SETTINGS,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "SHIPFIT_STATE_DIR": str(self.home / "state"),
            "SHIPFIT_DATA_DIR": str(self.home / "data"),
        }
        with (self.home / "nodes.log").open("ab") as log:
            node = subprocess.Popen(
                command, env=env, start_new_session=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.running.append(node)
        return node


@dataclass
class Heard(NoProgress):
    """Keeps what was said."""

    said: list[str] = field(default_factory=list)

    def update(self, text: str, fraction: float | None = None) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """The head of a cluster; started once, since that takes longest."""
    with started(tmp_path_factory.mktemp("nodes")) as made:
        yield made


@contextmanager
def started(home: Path) -> Iterator[Nodes]:
    """A cluster of a head, which has no CPUs; it ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="shipfit-nodes-"))  # sockets want a short path
    made = Nodes(folder, home)
    subprocess.run([RAY, "get-auth-token", "--generate"], check=True, capture_output=True)
    try:
        made.start_head()
        eventually(lambda: answers(made.url), 120)
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def nodes(head: Nodes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """The cluster that ``auto`` stands for, without a node but its head; those that a test adds end with it."""
    monkeypatch.setenv("RAY_ADDRESS", head.address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    yield head
    head.stop(keep=1)


def tree(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        found = psutil.Process(pid)
        return [found, *found.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/version", timeout=2).status_code < 500
    except httpx.HTTPError:
        return False


def wait_for(run: Run, text: str) -> None:
    """Read progress up to the event whose text begins so."""
    assert run.stderr
    others = []
    for line in run.stderr:
        if not line.startswith("{"):
            others.append(line)
        elif json.loads(line)["text"].startswith(text):
            return
    pytest.fail(f"ended without {text!r}: {others}")


def error_lines(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if not line.startswith("{")]


@pytest.fixture
def space() -> Iterator[Namespace]:
    """A namespace of a cluster with KubeRay."""
    with namespace() as made:
        if KUBERAY not in api_groups(Kubectl()):
            pytest.skip(
                "no KubeRay in the cluster: `helm install kuberay-operator kuberay-operator"
                " --repo https://ray-project.github.io/kuberay-helm/`"
            )
        yield made


@pytest.fixture
def make_stage(tmp_path: Path) -> Callable[..., Stage]:
    """Makes a stage that runs ``stage_worker.py``; its request says what it does."""

    def make(request: dict[str, Any], **more: Any) -> Stage:
        return Stage(
            doing="testing",
            environment="envoy",  # a small one; the worker needs nothing of it
            accelerator=Accelerator.CPU,
            script=WORKER,
            modules=WORKER.parent,
            request=request,
            **{"log": tmp_path / "stage.log", "needs": Needs(cpus=1), **more},
        )

    return make
