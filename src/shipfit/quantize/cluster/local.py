"""A Ray of one node, started for one pipeline and gone with it, raylet, workers and all."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import psutil

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import state_dir
from shipfit.core.progress import Progress
from shipfit.quantize.cluster.common import configure, nodes_of_ray, one_line, require_ray
from shipfit.quantize.stages import Needs

_OBJECT_STORE_BYTES = 80_000_000
"""Only progress lines and small results pass through; Ray's own least is 75 MiB."""

_LONGEST_FOLDER = 40
"""Ray's sockets lie some 60 characters below its folder, and Linux allows 107 for their whole path."""

_LOOK_SECONDS = 0.5


@contextmanager
def embedded_ray(progress: Progress) -> Iterator[EmbeddedRay]:
    """A Ray of this machine's CPUs and GPUs; all its processes end with the block, and theirs.

    Raises:
        EnvironmentFailure: Ray is not installed or does not start.
    """
    require_ray()
    configure()
    folder = _folder()
    # Ray writes what befalls its processes to our standard output, where a command's result goes.
    with (folder / "driver.log").open("w") as log, redirect_stdout(log):
        ray = EmbeddedRay()
        try:
            with progress.step("starting Ray"):
                ray.start(folder)
            yield ray
        finally:
            ray.stop()
    shutil.rmtree(folder, ignore_errors=True)


class EmbeddedRay:
    """Made by ``embedded_ray``; a ``common.Ray``."""

    grows = False

    def __init__(self) -> None:
        self.nodes: list[Needs] = []
        self._servers: list[psutil.Process] = []
        self._seen: set[psutil.Process] = set()
        self._stopped = threading.Event()

    def start(self, folder: Path) -> None:
        """Start Ray's processes."""
        import ray

        before = set(psutil.Process().children())
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                # All of it, and not only what is free now, as Ray would take: what is free, the preflight looks at.
                _memory=psutil.virtual_memory().total,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                _temp_dir=str(folder),
            )
            self.nodes = nodes_of_ray()
        except Exception as error:  # Ray raises anything from RuntimeError to its own timeouts
            raise EnvironmentFailure(f"Ray did not start: {one_line(error)}", log=folder) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in place
            self._servers = [process for process in psutil.Process().children() if process not in before]
            self._look()
        threading.Thread(target=self._keep_looking, daemon=True).start()

    def check(self, doing: str) -> None:
        """Look whether Ray's own processes are still there.

        Raises:
            EnvironmentFailure: one is not.
        """
        for server in self._servers:
            with suppress(psutil.NoSuchProcess):
                if server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
                    continue
            raise EnvironmentFailure(
                f"{doing} failed: a process of Ray (pid {server.pid}) was killed", hint="run it again"
            )

    def stop(self) -> None:
        """End Ray, and whatever of its processes outlives it."""
        self._stopped.set()
        self._look()
        if self._servers:
            import ray

            ray.shutdown()
        _, alive = psutil.wait_procs(self._seen, timeout=2)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=2)

    def _keep_looking(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        """Remember every process below Ray's: those whose parent dies are found in no tree afterwards."""
        for server in self._servers:
            with suppress(psutil.NoSuchProcess):
                self._seen |= {server, *server.children(recursive=True)}


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
