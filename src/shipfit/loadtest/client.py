"""Watching the load generator itself: a client short of processor time measures its own slowness."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import psutil


class CpuWatch:
    """Samples of the processor time that a program and its children have taken.

    Args:
        pid: the program.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._samples: list[tuple[float, dict[int, float]]] = []

    def sample(self) -> None:
        """Note the processor time of every process, in seconds since each began."""
        self._samples.append((time.time(), dict(self._times())))

    def busiest(self, begin: float, end: float) -> float | None:
        """What the busiest process took of a core between two moments (seconds since 1970); None if not sampled."""
        inside = [(moment, times) for moment, times in self._samples if begin <= moment <= end]
        if len(inside) < 2:
            return None
        (first, before), (last, after) = inside[0], inside[-1]
        return max((after[pid] - before.get(pid, 0.0) for pid in after), default=0.0) / (last - first)

    def _times(self) -> Iterator[tuple[int, float]]:
        with suppress(psutil.Error):
            program = psutil.Process(self._pid)
            for process in (program, *program.children(recursive=True)):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    yield process.pid, times.user + times.system
