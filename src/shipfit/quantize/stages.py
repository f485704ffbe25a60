"""What runs as Ray tasks: a stage starts a worker in its environment, on a node with room, and passes on what it says.

A stage is a generator: the driver sees progress while it works. Failures travel as values, so that they arrive as
what they are and not wrapped in Ray's own. Paths mean the same on every node: a cluster's nodes are alike, and an
input that is missing on one of them is brought there.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from shipfit.core import locks
from shipfit.core.errors import EnvironmentFailure, ShipfitError, from_os_error
from shipfit.core.oom import oom_kills
from shipfit.core.progress import Progress
from shipfit.core.worker import WorkerError, run_worker
from shipfit.environments import Accelerator, ensure

OUT_OF_MEMORY = "OutOfMemoryError"
"""The kind of a worker's error where memory did not suffice; the name that PyTorch gives it."""

_PARENT_CHECK = 1.0
"""Seconds between two looks at whether the raylet that started this task still lives."""

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for the engine of a stage that is cancelled."""

_LOG_TAIL = 2**20
"""Bytes of a log's end that travel to the driver's node."""


@dataclass(frozen=True)
class Needs:
    """What a stage holds on its node while it runs.

    Attributes:
        cpus: cores, which are also the threads of its computation.
        gpus: whole GPUs.
        memory_bytes: of the host.
    """

    cpus: int = 1
    gpus: int = 0
    memory_bytes: int = 0


class Origin(Protocol):
    """Where an input comes from. Pickled to the node that runs the stage."""

    def bring(self, path: Path, progress: Progress) -> None:
        """Put it at ``path``, whole or not at all, unless it lies there already.

        Raises:
            ShipfitError: it cannot be had.
        """


class Keeper(Protocol):
    """Takes a stage's output to where other nodes find it. Pickled to the node that made it."""

    def keep(self, path: Path, progress: Progress) -> dict[str, Any]:
        """Take the folder ``path`` there and return what finds it again; JSON-compatible.

        Raises:
            ShipfitError: it cannot be kept.
        """


@dataclass(frozen=True)
class Stage:
    """One piece of work for an engine's environment.

    Attributes:
        doing: what it is, for error lines: "quantizing".
        environment: the environment that its worker runs in; built on the node if it is not there.
        accelerator: the build of that environment.
        script: the worker.
        modules: folder of the modules that it imports.
        request: what it is asked; JSON-compatible. Where it has a ``batch``, that is halved when memory does not
            suffice.
        log: gets all that it prints.
        needs: what it holds while it runs.
        inputs: files and folders of the request by path, each with its origin; without one, the driver has it, and
            what lies at that path on another node is the same.
        output: a folder of the request; made anew for every attempt.
        keeper: takes the output to where other nodes find it; its answer is the result's ``kept``.
    """

    doing: str
    environment: str
    accelerator: Accelerator
    script: Path
    modules: Path
    request: dict[str, Any]
    log: Path
    needs: Needs = Needs()
    inputs: Mapping[Path, Origin | None] = field(default_factory=dict)
    output: Path | None = None
    keeper: Keeper | None = None


@dataclass(frozen=True)
class Started:
    """The node has room, and the stage begins there."""

    node: str
    host: str


@dataclass(frozen=True)
class Update:
    """A line of progress."""

    text: str
    fraction: float | None


@dataclass(frozen=True)
class Done:
    """The stage's end: a result, or the error.

    Attributes:
        result: of the worker.
        error: in its place.
        log: the end of the log, where the driver's node is another.
    """

    result: dict[str, Any] | None
    error: ShipfitError | None = None
    log: bytes | None = None


Event = Started | Update | Done


class TransferFailure(EnvironmentFailure):
    """A file could not be brought to the node: the store may do better next time."""


class MissingInput(EnvironmentFailure):
    """The node lacks what the driver has.

    Args:
        path: of the input.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"node {socket.gethostname()} has no {path}")
        self.path = path


def run_stage(stage: Stage, home: str) -> Iterator[Event]:
    """Run a stage to its end: ``Started``, updates, then one ``Done``.

    Args:
        stage: what to do.
        home: the driver's node.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    yield Started(node, socket.gethostname())
    events: queue.Queue[Event] = queue.Queue()
    # The worker is started by this thread and ends with it at the latest: it is there until the worker has ended.
    threading.Thread(target=_work, args=(stage, events, node != home), daemon=True).start()
    parent = os.getppid()
    try:
        while True:
            try:
                event = events.get(timeout=_PARENT_CHECK)
            except queue.Empty:
                if os.getppid() != parent:  # the raylet is gone and nobody waits any more
                    _end_children()
                    os.kill(os.getpid(), signal.SIGKILL)
                continue
            yield event
            if isinstance(event, Done):
                return
    finally:
        _end_children()  # of a stage that was cancelled


def _work(stage: Stage, events: queue.Queue[Event], away: bool) -> None:
    try:
        done = Done(_do(stage, _Told(events)))
    except ShipfitError as error:
        done = Done(None, error)
    except OSError as error:
        done = Done(None, from_os_error(error, stage.doing))
    events.put(Done(done.result, done.error, log_tail(stage.log)) if away else done)


def _do(stage: Stage, progress: _Told) -> dict[str, Any]:
    if not stage.script.exists():
        raise EnvironmentFailure(
            f"{stage.doing} failed: node {socket.gethostname()} has no {stage.script}",
            hint="all nodes of the cluster need the same shipfit at the same place",
        )
    for path, origin in stage.inputs.items():
        if origin is None and not path.exists():
            raise MissingInput(path)
    for path, origin in stage.inputs.items():
        if origin:
            _bring(path, origin, progress)
    python = ensure(stage.environment, stage.accelerator, progress).python
    if stage.output:
        shutil.rmtree(stage.output, ignore_errors=True)
        stage.output.mkdir(parents=True)
    result = _run_worker(stage, python, progress)
    if stage.output and stage.keeper:
        result = {**result, "kept": stage.keeper.keep(stage.output, progress)}
    return result


def _bring(path: Path, origin: Origin, progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locks.exclusive(path.with_name(f".{path.name}.lock")):  # two stages on a node may want the same
            origin.bring(path, progress)
    except EnvironmentFailure as error:
        raise TransferFailure(error.message, hint=error.hint, log=error.log) from error


def _run_worker(stage: Stage, python: Path, progress: _Told) -> dict[str, Any]:
    threads = str(stage.needs.cpus)
    killed_before = oom_kills()
    try:
        return run_worker(
            python,
            stage.script,
            stage.request,
            doing=stage.doing,
            log=stage.log,
            report=progress.update,
            modules=stage.modules,
            # Ray sets the first to the CPUs of the task; libraries read one or the other.
            env={
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
                "HF_HUB_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "true",
                "TQDM_DISABLE": "1",  # a log is no terminal
            },
        )
    except WorkerError as error:
        if error.code == -signal.SIGKILL and oom_kills() > killed_before:
            raise WorkerError(
                f"{stage.doing} failed: node {socket.gethostname()} ran out of memory",
                kind=OUT_OF_MEMORY,
                detail=error.detail,
                log=stage.log,
            ) from error
        raise


def log_tail(log: Path) -> bytes | None:
    """The end of a log; None where there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _LOG_TAIL))
            return stream.read()
    except OSError:
        return None


def _end_children() -> None:
    """End what this process started: the engine and all below it."""
    children = psutil.Process().children(recursive=True)
    for stop in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            try:
                stop(child)
            except psutil.NoSuchProcess:
                continue
        _, children = psutil.wait_procs(children, timeout=_GRACE)


class _Told:
    """Progress that travels to the driver."""

    def __init__(self, events: queue.Queue[Event]) -> None:
        self._events = events

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Begin a step."""
        self.update(title)
        yield

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is going on."""
        self._events.put(Update(text, fraction))

    def note(self, text: str) -> None:
        """Say something that lasts; the driver decides what does."""
        self.update(text)
