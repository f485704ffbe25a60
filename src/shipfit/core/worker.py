"""The one way to have work done in another Python environment: a script, a JSON request, progress, a JSON result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process, child_environment, describe_exit, last_words

LAUNCHER = Path(__file__).with_name("launcher.py")
"""What the other environment's Python runs; it is part of what a worker does."""

Report = Callable[[str, float | None], None]
"""Takes a line of progress and, where it is known, the fraction done (0 to 1)."""


class WorkerError(EnvironmentFailure):
    """A worker raised an exception or died.

    Args:
        kind: the exception's class name inside the worker; None where the process died without one.
        detail: the exception's text.
        code: the process's exit code, negative for a signal.
        field: what of the user's spec is to blame; None where nothing is.
        hint: what to do about that.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str | None,
        detail: str,
        log: Path | None,
        code: int = 1,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, log=log)
        self.kind = kind
        self.detail = detail
        self.code = code
        self.field = field


def run_worker(
    python: Path,
    script: Path,
    request: Mapping[str, Any],
    *,
    doing: str,
    log: Path,
    report: Report,
    modules: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a worker script to its end.

    Args:
        python: the interpreter of the environment that has what the script imports.
        script: defines ``main(request, report) -> dict``; see ``launcher.py``.
        request: JSON-compatible.
        doing: what it is for, as "quantizing"; begins the error line.
        log: gets all that the worker and its libraries print.
        report: called with the worker's progress, from another thread.
        modules: a folder of modules that the script may import besides.
        env: environment variables to set.

    Raises:
        WorkerError: it failed or was killed; the line holds its last words.
    """
    answer: dict[str, Any] = {}

    def on_line(line: str) -> None:
        event = _parse(line)
        if event.get("event") == "progress":
            report(event["text"], event["fraction"])
        elif event:
            answer.update(event)

    environment = child_environment(
        {"PYTHONUNBUFFERED": "1", **({"PYTHONPATH": str(modules)} if modules else {}), **(env or {})}
    )
    with Process(
        [python, LAUNCHER, script],
        cwd=log.parent,  # some engines write their own logs where they stand
        env=environment,
        stdin=json.dumps(dict(request)).encode(),
        log=log,
        on_line=on_line,
        merge=False,
    ) as process:
        code = process.wait()
        if answer.get("event") == "result" and code == 0:
            result: dict[str, Any] = answer["result"]
            return result
        raise _failure(doing, answer, code, process.tail, log)


def _failure(doing: str, answer: Mapping[str, Any], code: int, tail: list[str], log: Path) -> WorkerError:
    if answer.get("event") == "error":
        kind, detail = answer["kind"], answer["message"]
        return WorkerError(
            f"{doing} failed: {kind}: {detail}",
            kind=kind,
            detail=detail,
            log=log,
            code=code,
            field=answer.get("field"),
            hint=answer.get("hint"),
        )
    spoken = [line for line in tail if not _parse(line)]
    detail = f"the worker {describe_exit(code)}; its last words: {last_words(spoken)}"
    return WorkerError(f"{doing} failed: {detail}", kind=None, detail=detail, log=log, code=code)


def _parse(line: str) -> dict[str, Any]:
    """The event on a line; empty where the line is something else."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) and "event" in event else {}
