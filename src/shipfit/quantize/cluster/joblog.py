"""The log of a job, taken apart: what a shipfit at the other end says of its progress, its result and its error."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

from shipfit.core.progress import Progress

_ERROR = "shipfit: "
"""What ``shipfit`` begins its error line with."""


class JobLog:
    """Shows the progress in a job's log as if the work were done here. Use as a context manager.

    The log holds what ``shipfit --progress json ... --json`` writes: progress as JSON lines, and in the end the result
    as an indented JSON document or the error as one line; whatever else is in it is passed over.

    Args:
        progress: gets what the job says.
        past: lines that were written before we came. They are read, but not shown: only the steps that they leave
            unfinished are begun.
    """

    def __init__(self, progress: Progress, past: int = 0) -> None:
        self._progress = progress
        self._past = past
        self._cut = ""
        self._titles: list[str] = []
        self._steps: list[AbstractContextManager[None, bool | None]] = []
        self._document: list[str] = []
        self.lines = 0
        """Whole lines that were read."""
        self.result: dict[str, Any] | None = None
        """The JSON document that the job printed."""
        self.error: str | None = None
        """The job's error line."""
        self.last_words = "(it printed nothing)"
        """The last line that is neither progress nor result nor error."""

    def __enter__(self) -> JobLog:
        return self

    def __exit__(self, *exc: object) -> None:
        while self._steps:
            self._leave(failed=exc[0] is not None)

    def feed(self, text: str) -> None:
        """Read on: any piece of the log, cut anywhere."""
        *lines, self._cut = (self._cut + text).split("\n")
        for line in lines:
            self.lines += 1
            if event := _event(line):
                self._show(event)
            else:
                self._keep(line)
            if self.lines == self._past:
                for title in self._titles:
                    self._enter(title)

    def _show(self, event: dict[str, Any]) -> None:
        now = self.lines > self._past
        match event:
            case {"event": "begin", "text": title}:
                self._titles.append(title)
                if now:
                    self._enter(title)
            case {"event": "end" | "failed" as kind} if self._titles:
                self._titles.pop()
                if now:
                    self._leave(failed=kind == "failed")
            case {"event": "update", "text": text} if now:
                self._progress.update(text, event.get("fraction"))
            case {"event": "note", "text": text} if now:
                self._progress.note(text)

    def _keep(self, line: str) -> None:
        """Keep what is no progress."""
        if line == "{":
            self._document = []
        if line == "{" or self._document:
            self._document.append(line)
            if line == "}":
                self.result, self._document = json.loads("\n".join(self._document)), []
        elif line.startswith(_ERROR):
            self.error = line.removeprefix(_ERROR)
        elif line.strip():
            self.last_words = line.strip()

    def _enter(self, title: str) -> None:
        step = self._progress.step(title)
        step.__enter__()
        self._steps.append(step)

    def _leave(self, *, failed: bool) -> None:
        error = _StepFailed() if failed else None
        self._steps.pop().__exit__(type(error) if error else None, error, None)


class _StepFailed(Exception):
    """A step of the job failed; the job's error line says why."""


def _event(line: str) -> dict[str, Any] | None:
    """The progress event on a line; None where it is something else."""
    if not line.startswith('{"time": '):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
