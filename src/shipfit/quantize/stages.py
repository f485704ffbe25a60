"""What runs as Ray tasks: a stage starts a worker in the engine's environment and passes on what it says.

A stage takes and returns values and paths of the node it runs on, so the same code runs here and on a cluster. It is
a generator: the driver sees progress while the stage works. Failures travel as values, so that they arrive as what
they are and not wrapped in Ray's own.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.core.errors import ShipfitError
from shipfit.core.worker import run_worker

_PARENT_CHECK = 1.0
"""Seconds between two looks at whether the raylet that started this task still lives."""


@dataclass(frozen=True)
class Stage:
    """One piece of work for an engine's environment.

    Attributes:
        doing: what it is, for error lines: "quantizing".
        python: the engine's interpreter.
        script: the worker.
        modules: folder of the modules that it imports.
        request: what it is asked; JSON-compatible.
        log: gets all that it prints.
        threads: of its computation.
    """

    doing: str
    python: Path
    script: Path
    modules: Path
    request: dict[str, Any]
    log: Path
    threads: int


@dataclass(frozen=True)
class Update:
    """A line of progress."""

    text: str
    fraction: float | None


@dataclass(frozen=True)
class Done:
    """The stage's end: a result, or the error."""

    result: dict[str, Any] | None
    error: ShipfitError | None = None


def run_stage(stage: Stage) -> Iterator[Update | Done]:
    """Run a stage to its end: updates, then one ``Done``."""
    events: queue.Queue[Update | Done] = queue.Queue()
    # The worker is started by this thread and ends with it at the latest: it is there until the worker has ended.
    threading.Thread(target=_work, args=(stage, events), daemon=True).start()
    parent = os.getppid()
    while True:
        try:
            event = events.get(timeout=_PARENT_CHECK)
        except queue.Empty:
            if os.getppid() != parent:
                # The raylet is gone and nobody waits any more. SIGKILL, and the worker's parent-death signal follows.
                os.kill(os.getpid(), signal.SIGKILL)
            continue
        yield event
        if isinstance(event, Done):
            return


def _work(stage: Stage, events: queue.Queue[Update | Done]) -> None:
    threads = str(stage.threads)
    try:
        result = run_worker(
            stage.python,
            stage.script,
            stage.request,
            doing=stage.doing,
            log=stage.log,
            report=lambda text, fraction: events.put(Update(text, fraction)),
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
        events.put(Done(result))
    except ShipfitError as error:
        events.put(Done(None, error))
