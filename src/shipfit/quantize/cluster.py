"""Ray: a cluster of one node, started for one pipeline and gone with it, raylet, workers and all."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import state_dir
from shipfit.core.progress import Progress
from shipfit.environments import Accelerator
from shipfit.quantize.stages import Done, Stage, Update, run_stage

_OBJECT_STORE_BYTES = 80_000_000
"""Only progress lines and small results pass through; Ray's own least is 75 MiB."""

_POLL_SECONDS = 0.5

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else Ray packs up the working folder and makes environments of its own when shipfit is run by `uv run`.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray's future default; without it every start warns of the change.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

_LONGEST_FOLDER = 40
"""Ray's sockets lie some 60 characters below its folder, and Linux allows 107 for their whole path."""


def require_ray() -> None:
    """Make sure that Ray can be imported.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    if find_spec("ray") is None:
        raise EnvironmentFailure(
            "running a pipeline needs Ray, which is not installed", hint="pip install 'shipfit[ray]'"
        )


@contextmanager
def local_cluster(progress: Progress) -> Iterator[Cluster]:
    """A Ray of this machine's CPUs and GPUs; all its processes end with the block, and theirs.

    Raises:
        EnvironmentFailure: Ray is not installed or does not start.
    """
    require_ray()
    os.environ.update(_SETTINGS)
    folder = _folder()
    # Ray writes what befalls its processes to our standard output, where a command's result goes.
    with (folder / "driver.log").open("w") as log, redirect_stdout(log):
        cluster = Cluster()
        try:
            with progress.step("starting Ray"):
                cluster.start(folder)
            yield cluster
        finally:
            cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """A running Ray; made by ``local_cluster``."""

    def __init__(self) -> None:
        self.cpus = len(os.sched_getaffinity(0))
        self._servers: list[psutil.Process] = []
        self._seen: set[psutil.Process] = set()

    def start(self, folder: Path) -> None:
        """Start Ray's processes."""
        import ray

        before = set(psutil.Process().children())
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address="local",
                num_cpus=self.cpus,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                _temp_dir=str(folder),
            )
        except Exception as error:  # Ray raises anything from RuntimeError to its own timeouts
            raise EnvironmentFailure(
                f"Ray did not start: {' '.join(str(error).split())[:200]}", log=folder
            ) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in place
            self._servers = [process for process in psutil.Process().children() if process not in before]
            self._look()

    def run(self, stage: Stage, accelerator: Accelerator, progress: Progress) -> dict[str, Any]:
        """Run a stage as a task and return its result.

        Raises:
            EnvironmentFailure: the worker, the task or Ray itself died; for the worker, with its log.
        """
        import ray

        task = ray.remote(run_stage).options(
            num_cpus=stage.threads,
            num_gpus=1 if accelerator is Accelerator.CUDA else 0,
            max_retries=0,  # what an engine cannot do once it cannot do twice, and a run takes hours
            num_returns="streaming",
        )
        events: Any = task.remote(stage)
        try:
            while True:
                ready, _ = ray.wait([events], timeout=_POLL_SECONDS, fetch_local=False)
                self._look()
                self._check_servers(stage)
                if not ready:
                    continue
                event: Update | Done = ray.get(next(events))
                if isinstance(event, Update):
                    progress.update(event.text, event.fraction)
                elif event.error:
                    raise event.error
                else:
                    return event.result or {}
        except ray.exceptions.WorkerCrashedError as error:
            self._check_servers(stage)
            raise EnvironmentFailure(
                f"{stage.doing} failed: Ray's process that ran it was killed (out of memory?)", log=stage.log
            ) from error
        except (ray.exceptions.RayError, StopIteration) as error:
            self._check_servers(stage)
            reason = " ".join((str(error) or "the task ended without a result").split())[:200]
            raise EnvironmentFailure(f"{stage.doing} failed: Ray: {reason}", log=stage.log) from error

    def stop(self) -> None:
        """End Ray, and whatever of its processes outlives it."""
        self._look()
        if self._servers:
            import ray

            ray.shutdown()
        _, alive = psutil.wait_procs(self._seen, timeout=2)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=2)

    def _look(self) -> None:
        """Remember every process below Ray's: those whose parent dies are found in no tree afterwards."""
        for server in self._servers:
            with suppress(psutil.NoSuchProcess):
                self._seen.update((server, *server.children(recursive=True)))

    def _check_servers(self, stage: Stage) -> None:
        for server in self._servers:
            with suppress(psutil.NoSuchProcess):
                if server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
                    continue
            raise EnvironmentFailure(
                f"{stage.doing} failed: a process of Ray (pid {server.pid}) was killed", hint="run it again"
            )


def _folder() -> Path:
    """A new folder for Ray's sockets and logs: in the state folder where its path is short enough."""
    parent = state_dir("ray")
    for old in parent.iterdir():  # of runs that failed or were killed
        if not old.name.isdecimal() or not psutil.pid_exists(int(old.name)):
            shutil.rmtree(old, ignore_errors=True)
    if len(str(parent)) > _LONGEST_FOLDER:
        return Path(tempfile.mkdtemp(prefix="shipfit-ray-"))
    folder = parent / str(os.getpid())
    folder.mkdir(exist_ok=True)
    return folder
