"""Where a local deployment keeps what it needs, and the two documents in there.

<state>/deployments/<name>/
    launch.json     what to run, written by ``up`` (mode 0600: it names the folder of the key)
    status.json     what runs, written by the supervisor whenever it changes
    api-key         what clients send; made once, kept over restarts (mode 0600)
    router.json     Envoy's configuration, with the key (mode 0600)
    modules/        what replicas import besides vLLM
    *.sock          where replicas and Envoy's administration listen
    logs/           one file a process
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from shipfit.core import locks
from shipfit.core.paths import state_dir, write_atomically
from shipfit.core.progress import Progress
from shipfit.serve.sessions import Session
from shipfit.sizing import Plan

ChildState = Literal["starting", "ready", "unhealthy", "restarting", "failed", "stopped"]
DeploymentState = Literal["starting", "ready", "degraded", "failed", "stopping", "stopped"]
ROUTER = "router"

M = TypeVar("M", bound=BaseModel)


class ChildLaunch(BaseModel):
    """How to run one process.

    Attributes:
        name: ``replica-0``, ``router``; also its log's name.
        argv: program and arguments.
        env: variables to set besides those of the shell.
        socket: the Unix socket it answers on, seen from the deployment's folder.
        health: the path there that answers 200 when it is ready.
    """

    name: str
    argv: list[str]
    env: dict[str, str] = {}
    socket: str
    health: str


class Launch(BaseModel):
    """What ``up`` decided.

    Attributes:
        identity: what makes this deployment what it is, for people to read: another ``up`` compares it.
        revision: the artifact's fingerprint, or the source model's revision.
        temporary: a folder for the replicas' own temporary files, removed at the end.
    """

    name: str
    port: int
    model_name: str
    model_path: Path
    revision: str
    plan: Plan
    identity: dict[str, str]
    replicas: list[ChildLaunch]
    router: ChildLaunch
    temporary: Path

    def discard_temporary(self) -> None:
        """Remove the replicas' temporary files; nothing may run any more."""
        shutil.rmtree(self.temporary, ignore_errors=True)


class Figures(BaseModel):
    """What a replica's own log says of its memory, in GiB and tokens; None where it has not said it."""

    weights_gib: float | None = None
    checkpoint_gib: float | None = None
    kv_cache_gib: float | None = None
    kv_cache_tokens: int | None = None


class ChildStatus(BaseModel):
    """One process as its supervisor sees it.

    Attributes:
        session: the process and all that it started; None while it does not run.
        restarts: how often it was started anew.
        since: when ``state`` began, in seconds since 1970.
        note: why it is not ready, in one line; empty where it is.
    """

    name: str
    state: ChildState = "starting"
    session: Session | None = None
    restarts: int = 0
    since: float = 0.0
    note: str = ""
    figures: Figures = Figures()


class DeploymentStatus(BaseModel):
    """What runs."""

    state: DeploymentState
    since: float
    supervisor: Session
    children: list[ChildStatus]
    note: str = ""
    failed_log: Path | None = None


@dataclass(frozen=True)
class Folder:
    """The folder of one deployment."""

    path: Path

    @classmethod
    def of(cls, name: str) -> Folder:
        """The folder of the deployment called ``name``; made if it is not there, closed to others."""
        path = state_dir("deployments", name)
        path.chmod(0o700)
        return cls(path)

    @property
    def logs(self) -> Path:
        """Where each process has its log."""
        return self.path / "logs"

    @property
    def modules(self) -> Path:
        """What replicas import besides vLLM."""
        return self.path / "modules"

    @property
    def router_config(self) -> Path:
        """Envoy's configuration."""
        return self.path / "router.json"

    def log(self, name: str) -> Path:
        """The log of the process called ``name``."""
        return self.logs / f"{name}.log"

    def api_key(self) -> str:
        """The key that clients send, made on first use."""
        path = self.path / "api-key"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            key = f"sk-{secrets.token_urlsafe(32)}"
            write_atomically(path, key + "\n", mode=0o600)
            return key

    def write_launch(self, launch: Launch) -> None:
        """Keep what to run."""
        write_atomically(self.path / "launch.json", launch.model_dump_json(indent=2), mode=0o600)

    def launch(self) -> Launch | None:
        """What was started last; None where nothing was, or another version of shipfit wrote it."""
        return _read(self.path / "launch.json", Launch)

    def write_status(self, status: DeploymentStatus) -> None:
        """Keep what runs."""
        write_atomically(self.path / "status.json", status.model_dump_json(indent=2))

    def status(self) -> DeploymentStatus | None:
        """What its supervisor wrote last, which may have ended since."""
        return _read(self.path / "status.json", DeploymentStatus)

    @contextmanager
    def starting(self, progress: Progress) -> Iterator[None]:
        """Only one ``up`` of a deployment at a time."""
        with locks.exclusive(
            self.path / "up.lock", on_wait=lambda: progress.note("waiting for another `shipfit up` of it")
        ):
            yield


def _read(path: Path, kind: type[M]) -> M | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
