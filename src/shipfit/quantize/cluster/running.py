"""A Ray that runs already, and that this machine is a node of."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import Progress
from shipfit.quantize.cluster.common import configure, nodes_of_ray, one_line, require_ray
from shipfit.quantize.stages import Needs


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
    try:
        yield RunningRay()
    finally:
        ray.shutdown()


class RunningRay:
    """Made by ``running_ray``; a ``common.Ray``."""

    grows = True
    """An autoscaler may add nodes, and whoever runs the cluster may."""

    @property
    def nodes(self) -> list[Needs]:
        """What each of its nodes holds in all."""
        return nodes_of_ray()

    def check(self, doing: str) -> None:
        """Look whether the raylet of this machine is still there.

        Raises:
            EnvironmentFailure: it is not.
        """
        import ray

        if not ray.is_initialized():
            raise EnvironmentFailure(f"{doing} failed: Ray on this machine has ended", hint="run it again")
