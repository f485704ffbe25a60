"""A Ray that runs already, and that this machine is a node of."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shipfit.core.errors import EnvironmentFailure, ExitCode
from shipfit.core.progress import Progress
from shipfit.quantize.cluster.common import configure, nodes_of_ray, one_line, require_ray
from shipfit.quantize.stages import Needs

_LOOK_SECONDS = 2.0

_HEAD_SECONDS = 40.0
"""For which the head need not answer: it may be started again. After 60, Ray ends this process, with exit code 1, which
would be read as the gate's verdict."""

_GRACE_SECONDS = 10.0
"""From then on until this process is ended, where it does not end by itself."""


@contextmanager
def running_ray(progress: Progress) -> Iterator[RunningRay]:
    """The Ray that this machine is a node of; it runs on after the block.

    Raises:
        EnvironmentFailure: Ray is not installed here, or does not run.
    """
    require_ray()
    configure()
    import ray

    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with progress.step("connecting to Ray"):
            ray.init(address="auto", log_to_driver=False, logging_level=logging.CRITICAL)
    except ConnectionError as error:
        raise EnvironmentFailure(
            "no Ray runs on this machine",
            hint="start it by `ray start --head`, name a cluster elsewhere by --address http://HOST:8265,"
            " or leave --address out",
        ) from error
    except Exception as error:  # Ray raises anything from RuntimeError to its own timeouts
        raise EnvironmentFailure(f"connecting to Ray failed: {one_line(error)}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in place
    running = RunningRay(ray.get_runtime_context().gcs_address)
    try:
        yield running
    finally:
        running.stop()
        if not running.lost:
            ray.shutdown()


class RunningRay:
    """Made by ``running_ray``; a ``common.Ray``.

    Args:
        head: host and port of the head's directory (GCS).
    """

    grows = True
    """An autoscaler may add nodes, and whoever runs the cluster may."""

    def __init__(self, head: str) -> None:
        self._head = head
        self.lost = False
        """Whether the head is gone."""
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def nodes(self) -> list[Needs]:
        """What each of its nodes holds in all."""
        return nodes_of_ray()

    def check(self, doing: str) -> None:
        """Look whether the head and the raylet of this machine are still there.

        Raises:
            EnvironmentFailure: one is not.
        """
        import ray

        if self.lost:
            raise self._failure(f"{doing} failed: ")
        if not ray.is_initialized():
            raise EnvironmentFailure(f"{doing} failed: Ray on this machine has ended", hint="run it again")

    def stop(self) -> None:
        """Watch the head no longer."""
        self._stopped.set()

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._stopped.wait(_LOOK_SECONDS):
            if self._answers():
                answered = time.monotonic()
            elif time.monotonic() - answered > _HEAD_SECONDS:
                self.lost = True
                break
        if not self._stopped.wait(_GRACE_SECONDS):
            # What calls Ray meanwhile waits for good, and cannot be woken.
            sys.stderr.write(f"shipfit: {self._failure()}\n")
            sys.stderr.flush()
            os._exit(ExitCode.ENVIRONMENT)

    def _answers(self) -> bool:
        host, _, port = self._head.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
        except OSError:
            return False
        return True

    def _failure(self, doing: str = "") -> EnvironmentFailure:
        return EnvironmentFailure(
            f"{doing}the head of the Ray cluster, {self._head}, has not answered for {_HEAD_SECONDS:.0f} s",
            hint="run it again when it is back: what is finished is kept",
        )
