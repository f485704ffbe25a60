"""The one progress style: a live display on a terminal, plain lines in CI, JSON lines on request.

All of it goes to standard error; standard output belongs to what a command returns.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Any, Protocol, TextIO

_SURE_SECONDS = 10.0
_SURE_FRACTION = 0.05
"""Before so many seconds, and so much of the work, an estimate of the end is a guess."""


class ProgressStyle(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"


class Progress(Protocol):
    """What long work reports to. Steps may be nested; updates are about the innermost one."""

    def step(self, title: str) -> AbstractContextManager[None, bool | None]:
        """Begin a step: a context manager; its end prints the seconds it took."""

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is going on; ``fraction`` from 0 to 1 where it is known."""

    def note(self, text: str) -> None:
        """Print one lasting line."""


class PlainProgress:
    """A line for the beginning and the end of each step, and one for an update at most every ``interval`` seconds."""

    def __init__(self, stream: TextIO | None = None, *, interval: float = 5.0) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval
        self._last = 0.0
        self._paces: list[_Pace] = []
        self._lock = threading.Lock()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Begin a step."""
        begun = time.monotonic()
        self._print(f"{title} ...")
        self._paces.append(_Pace())
        self._last = begun
        try:
            yield
        finally:
            self._paces.pop()
        self._print(f"{title}: done in {time.monotonic() - begun:.1f} s")

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is going on."""
        reached = _reached(self._paces, fraction)
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        self._print(text + (f" ({', '.join(reached)})" if reached else ""))

    def note(self, text: str) -> None:
        """Print one lasting line."""
        self._print(text)

    def _print(self, text: str) -> None:
        with self._lock:
            print("  " * len(self._paces) + text, file=self._stream, flush=True)


class JsonProgress:
    """One JSON object a line: ``event`` (begin, update, note, end, failed), ``text``, ``seconds``, ``fraction``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Begin a step."""
        begun = time.monotonic()
        self._print(event="begin", text=title)
        try:
            yield
        except BaseException:
            self._print(event="failed", text=title, seconds=round(time.monotonic() - begun, 3))
            raise
        self._print(event="end", text=title, seconds=round(time.monotonic() - begun, 3))

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is going on."""
        self._print(event="update", text=text, fraction=fraction)

    def note(self, text: str) -> None:
        """Print one lasting line."""
        self._print(event="note", text=text)

    def _print(self, **event: Any) -> None:
        print(json.dumps({"time": round(time.time(), 3), **event}), file=self._stream, flush=True)


class TerminalProgress:
    """A spinner with the innermost step and its latest update; finished steps stay as lines above it."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._titles: list[str] = []
        self._paces: list[_Pace] = []
        self._status: Any = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Begin a step."""
        begun = time.monotonic()
        if not self._titles:
            self._status = self._console.status(title)
            self._status.start()
        self._titles.append(title)
        self._paces.append(_Pace())
        self._show("")
        mark = "[red]✗[/red]"
        try:
            yield
            mark = "[green]✓[/green]"
        finally:
            self._titles.pop()
            self._paces.pop()
            indent = "  " * len(self._titles)
            self._console.print(f"{indent}{mark} {title} [dim]{time.monotonic() - begun:.1f} s[/dim]")
            if not self._titles:
                self._status.stop()
                self._status = None

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is going on."""
        self._show(f"{text} {', '.join(_reached(self._paces, fraction))}".rstrip())

    def note(self, text: str) -> None:
        """Print one lasting line."""
        self._console.print("  " * len(self._titles) + text, markup=False)

    def _show(self, text: str) -> None:
        if self._status:
            self._status.update(f"{' > '.join(self._titles)}  [dim]{text[:100]}[/dim]")


class NoProgress:
    """Says nothing."""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:  # noqa: ARG002
        """Begin a step."""
        yield

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is going on."""

    def note(self, text: str) -> None:
        """Print one lasting line."""


def named(progress: Progress, name: str) -> Progress:
    """A reporter for one of several pieces of work that go on at the same time: every line begins with its name."""
    return _Named(progress, name)


class _Named:
    """Steps become lines: those of several threads cannot be nested."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._pace = _Pace()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Begin a step."""
        begun = time.monotonic()
        self.note(f"{title} ...")
        self._pace = _Pace()
        yield
        self.note(f"{title}: done in {time.monotonic() - begun:.1f} s")

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is going on."""
        left = None if fraction is None else self._pace.left(fraction)
        self._progress.update(f"{self._name}: {text}{f', {left}' if left else ''}", fraction)

    def note(self, text: str) -> None:
        """Print one lasting line."""
        self._progress.note(f"{self._name}: {text}")


class _Pace:
    """How fast a step comes on. What went before its first fraction counts for nothing: it waited, or was not seen."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._first: float | None = None
        self._latest = 0.0

    def left(self, fraction: float) -> str | None:
        """How long it will go on at its pace so far; None while that would be a guess.

        Args:
            fraction: what is done of it; less than before is where other work begins.
        """
        now = time.monotonic()
        if self._first is None or fraction < self._latest:
            self._begun, self._first = now, fraction
        self._latest = fraction
        seconds, done = now - self._begun, fraction - self._first
        if seconds < _SURE_SECONDS or done < _SURE_FRACTION:
            return None
        left = seconds * (1 - fraction) / done
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


def _reached(paces: list[_Pace], fraction: float | None) -> list[str]:
    """How far the innermost step is and, once that can be told, how long it will go on; empty where nobody knows."""
    if fraction is None:
        return []
    left = paces[-1].left(fraction) if paces else None
    return [f"{fraction:.0%}", *([left] if left else [])]


def make_progress(style: ProgressStyle = ProgressStyle.AUTO) -> Progress:
    """The reporter for a style; ``auto`` is a live display on a terminal and plain lines elsewhere."""
    if style is ProgressStyle.QUIET:
        return NoProgress()
    if style is ProgressStyle.JSON:
        return JsonProgress()
    if style is ProgressStyle.AUTO and sys.stderr.isatty():
        return TerminalProgress()
    return PlainProgress()
