"""The embedded store that runs now: what its keeper wrote down, and whether that is still true."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from obstore.store import S3Store

from shipfit.artifacts import weed
from shipfit.artifacts.explain import explained
from shipfit.artifacts.objects import PATIENT_CLIENT, PATIENT_RETRY, QUICK_CLIENT, QUICK_RETRY, Objects
from shipfit.core.paths import data_dir, state_dir, write_atomically

LABEL = "the embedded store"


@dataclass(frozen=True)
class Ran:
    """A process, told from a later one with the same number by when it began (seconds since 1970)."""

    pid: int
    began: float

    @classmethod
    def of(cls, pid: int) -> Ran:
        """The process that has this number now."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """It, if it still runs."""
        with suppress(psutil.Error):
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.began) < 1 and found.status() != psutil.STATUS_ZOMBIE:
                return found
        return None


@dataclass(frozen=True)
class Running:
    """What the keeper wrote down when the store was ready.

    Attributes:
        keeper: the process that ends the store.
        server: SeaweedFS.
        ports: as ``weed.free_ports`` chose them.
    """

    keeper: Ran
    server: Ran
    ports: dict[str, int]

    @property
    def alive(self) -> bool:
        """Whether both processes are still there."""
        return self.keeper.process() is not None and self.server.process() is not None

    def kill_remains(self) -> None:
        """End what is left of a store of which one process is gone."""
        for ran in (self.keeper, self.server):
            process = ran.process()
            if process:
                with suppress(psutil.Error):
                    process.kill()
                    process.wait(5)


def folder() -> Path:
    """Where the embedded store lives: its objects, its key and its locks. Only this user can enter."""
    path = data_dir("store")
    path.chmod(0o700)
    return path


def log_file() -> Path:
    """What SeaweedFS prints."""
    return state_dir("store") / "seaweedfs.log"


def users_lock() -> Path:
    """Held together by every user of the store; the keeper ends it when it can hold this alone."""
    return folder() / "users.lock"


def read() -> Running | None:
    """What the latest keeper wrote down."""
    try:
        values = json.loads(_file().read_text())
    except (FileNotFoundError, ValueError):
        return None
    return Running(Ran(**values["keeper"]), Ran(**values["server"]), values["ports"])


def write(running: Running) -> None:
    """Write down a store that is ready."""
    write_atomically(_file(), json.dumps(asdict(running)), mode=0o600)


def forget() -> None:
    """Take back what was written down."""
    _file().unlink(missing_ok=True)


def objects(ports: dict[str, int]) -> Objects:
    """The objects of the store on these ports.

    Raises:
        EnvironmentFailure: this machine lacks what a client needs.
    """
    key = weed.credentials(folder())
    with _without_settings(), explained(LABEL, "opening the store"):
        quick, patient = (
            S3Store(
                weed.BUCKET,
                endpoint=f"http://{weed.ADDRESS}:{ports['s3']}",
                access_key_id=key.access_key,
                secret_access_key=key.secret_key,
                region="us-east-1",
                client_options={**client, "allow_http": True},
                retry_config=retry,
            )
            for client, retry in ((QUICK_CLIENT, QUICK_RETRY), (PATIENT_CLIENT, PATIENT_RETRY))
        )
    return Objects(quick, patient, LABEL, log=log_file(), at_once=1)


@contextmanager
def _without_settings() -> Iterator[None]:
    """Hide what is meant for other stores and the world outside: AWS settings and proxies are read at construction."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith("AWS_") or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def _file() -> Path:
    return folder() / "running.json"
