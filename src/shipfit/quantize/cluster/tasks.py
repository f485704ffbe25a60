"""A stage as a Ray task: it waits for room, says how far it is, and gets another try where one may help."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from shipfit.core.errors import EnvironmentFailure, ShipfitError
from shipfit.core.paths import write_atomically
from shipfit.core.progress import Progress
from shipfit.core.worker import WorkerError
from shipfit.quantize.cluster.common import Ray, one_line
from shipfit.quantize.cluster.failures import MOST_TRIES, Remedy, classify, pause, smaller
from shipfit.quantize.cluster.room import describe, fits, largest
from shipfit.quantize.cluster.transfer import carried
from shipfit.quantize.stages import (
    Done,
    Event,
    MissingInput,
    Needs,
    Stage,
    Started,
    Update,
    log_tail,
    run_stage,
)

_POLL_SECONDS = 0.5

_PATIENCE_SECONDS = 5.0
"""A task that has not begun after this long waits for room, and not only for a process to start."""

_CANCEL_SECONDS = 15.0
"""For a cancelled stage to end its engine itself; then Ray kills the process that runs it."""


class Cluster:
    """Runs stages; made by ``cluster_at``. Several threads may run one each at the same time."""

    def __init__(self, ray: Ray) -> None:
        self._ray = ray
        self._cancelled = threading.Event()

    @property
    def cpus(self) -> int:
        """What a stage without a GPU may take: all CPUs of the largest node but one for each GPU, for the stages there.

        1 where there is a head alone, which has none, and workers are added on demand.
        """
        return max((1, *(node.cpus - node.gpus for node in self._ray.nodes)))

    @property
    def spread(self) -> bool:
        """Whether a stage may run on another node than this."""
        return self._ray.grows

    def cancel(self) -> None:
        """End every stage that runs; each of its callers gets a KeyboardInterrupt."""
        self._cancelled.set()

    def require_room(self, doing: str, needs: Needs, instead: str = "") -> None:
        """Refuse what can never begin; a cluster of several nodes may get one with room.

        Args:
            doing: what needs it, for the error.
            needs: what must be there at once.
            instead: what else helps than another machine, as a clause.

        Raises:
            EnvironmentFailure: this machine is all there is, and too small.
        """
        if not self.spread and not fits(needs, self._ray.nodes):
            raise EnvironmentFailure(
                f"{doing} needs {describe(needs)}, and this machine has {largest(self._ray.nodes)}",
                hint=f"run it on a larger one (--address names a cluster){instead}",
            )

    def run(self, stage: Stage, progress: Progress) -> dict[str, Any]:
        """Run a stage on a node that has room for it and return its result.

        Raises:
            WorkerError: its worker failed or was killed; with its log.
            EnvironmentFailure: the task or Ray itself died, or files could not be brought, at every try.
            KeyboardInterrupt: it was cancelled.
        """
        self.require_room(stage.doing, stage.needs)
        tries = 1
        while True:
            try:
                return self._try(stage, progress)
            except MissingInput as error:
                if not self.spread:
                    raise
                stage = replace(stage, inputs={**stage.inputs, error.path: carried(error.path)})
                continue
            except Exception as error:
                self._ray.check(stage.doing)
                remedy = classify(error)
                less = smaller(stage.request) if remedy is Remedy.SMALLER else None
                if less:
                    request, how = less
                    progress.note(f"{stage.doing}: out of memory; again {how}")
                    stage = replace(stage, request=request)
                    continue
                if remedy is not Remedy.RETRY or tries == MOST_TRIES:
                    raise _explained(error, stage, tries) from error
                progress.note(
                    f"{stage.doing}: {_what(error)}; try {tries + 1} of {MOST_TRIES} in {pause(tries):g} s"
                )
            self._sleep(pause(tries))
            tries += 1

    def _try(self, stage: Stage, progress: Progress) -> dict[str, Any]:
        import ray

        home = ray.get_runtime_context().get_node_id()
        task = ray.remote(run_stage).options(
            num_cpus=stage.needs.cpus,
            num_gpus=stage.needs.gpus,
            memory=stage.needs.memory_bytes or None,
            max_retries=0,  # whether and how it is tried again is decided here
            num_returns="streaming",
        )
        events: Any = task.remote(stage, home)
        with self._cancelling(events):
            for event in self._events(events, stage, progress):
                if isinstance(event, Started):
                    progress.update(f"begins on {event.host}")
                elif isinstance(event, Update):
                    progress.update(event.text, event.fraction)
                else:
                    _keep_log(stage, event)
                    if event.error:
                        raise event.error
                    return event.result or {}
        raise EnvironmentFailure(f"{stage.doing} failed: the task ended without a result", log=stage.log)

    def _events(self, events: Any, stage: Stage, progress: Progress) -> Iterator[Event]:
        """What the task says, as it says it."""
        import ray

        begun, waiting = time.monotonic(), True
        while True:
            if self._cancelled.is_set():
                raise KeyboardInterrupt
            ready, _ = ray.wait([events], timeout=_POLL_SECONDS, fetch_local=False)
            self._ray.check(stage.doing)
            if ready:
                waiting = False
                try:
                    yield ray.get(next(events))
                except StopIteration:
                    return
            elif waiting and time.monotonic() - begun > _PATIENCE_SECONDS:
                progress.update(self._waiting_for(stage))

    def _waiting_for(self, stage: Stage) -> str:
        text = f"waiting for {describe(stage.needs)}"
        nodes = self._ray.nodes
        return text if fits(stage.needs, nodes) else f"{text}; the largest node has {largest(nodes)}"

    @contextmanager
    def _cancelling(self, events: Any) -> Iterator[None]:
        """End the task if the block is left before it has ended by itself."""
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            _cancel(events)
            raise

    def _sleep(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise KeyboardInterrupt


def _cancel(events: Any) -> None:
    """End a task: first so that it can end its engine, then by force."""
    import ray

    for force, patience in ((False, _CANCEL_SECONDS), (True, 1.0)):
        with suppress(ray.exceptions.RayError, ValueError):
            ray.cancel(events, force=force)
        if _ended(events, patience):
            return


def _ended(events: Any, patience: float) -> bool:
    import ray

    deadline = time.monotonic() + patience
    while (left := deadline - time.monotonic()) > 0:
        ready, _ = ray.wait([events], timeout=left, fetch_local=False)
        if ready:
            try:
                ray.get(next(events))
            except (StopIteration, ray.exceptions.RayError):
                return True
    return False


def _keep_log(stage: Stage, done: Done) -> None:
    """Keep the log of another node beside the driver, unless the two share it. One of an earlier try goes."""
    if done.log is not None and log_tail(stage.log) != done.log:
        stage.log.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(stage.log, done.log)


def _what(error: BaseException) -> str:
    """What befell a stage, in a few words."""
    from ray import exceptions

    if isinstance(error, exceptions.NodeDiedError):
        return "its node was lost"
    if isinstance(error, exceptions.WorkerCrashedError):
        return "Ray's process that ran it was killed"
    return one_line(error)


def _explained(error: BaseException, stage: Stage, tries: int) -> ShipfitError:
    """The line for a failure that gets no other try."""
    if isinstance(error, WorkerError) or (isinstance(error, ShipfitError) and tries == 1):
        return error
    times = f" {tries} times" if tries > 1 else ""
    return EnvironmentFailure(f"{stage.doing} failed{times}: {_what(error)}", log=stage.log)
