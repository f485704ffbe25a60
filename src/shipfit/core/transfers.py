"""A few transfers at once, all of them ended by the first failure or by Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from shipfit.core.progress import Progress

T = TypeVar("T")
R = TypeVar("R")

TRANSFERS = 4
"""Files in flight: more than one, since one stream seldom fills a network; few, since each holds parts in memory."""

_SHOWN_EVERY = 4 * 2**20
"""Bytes between two updates of what is shown."""


class Stopped(Exception):
    """Raised inside a transfer when another one failed or the user gave up."""


class Meter:
    """Counts bytes over all threads, shows them as progress, and is where a transfer learns that it must stop.

    Args:
        progress: where the count is shown.
        doing: what the bytes are, as "publishing".
        total: bytes altogether.
    """

    def __init__(self, progress: Progress, doing: str, total: int) -> None:
        self._progress = progress
        self._doing = doing
        self._total = max(total, 1)
        self._done = self._shown = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def add(self, count: int) -> None:
        """Count ``count`` bytes.

        Raises:
            Stopped: the work is given up.
        """
        if self._stop.is_set():
            raise Stopped
        with self._lock:
            self._done += count
            if self._done - self._shown < _SHOWN_EVERY and self._done < self._total:
                return
            self._shown = self._done
            self._progress.update(
                f"{self._doing}: {self._done / 2**20:,.0f} of {self._total / 2**20:,.0f} MiB",
                min(self._done / self._total, 1.0),
            )

    def stop(self) -> None:
        """Make every transfer end at its next chunk."""
        self._stop.set()


def for_each(items: Iterable[T], transfer: Callable[[T], R], meter: Meter) -> list[R]:
    """Do ``transfer`` for all items, TRANSFERS at a time; results in the order of the items.

    Raises:
        Exception: the first that a transfer raised, after all others have ended.
    """
    with ThreadPoolExecutor(TRANSFERS, thread_name_prefix="transfer") as pool:
        futures = [pool.submit(transfer, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            failed = [error for future in futures if future.done() and (error := future.exception())]
            if failed:
                raise next((error for error in failed if not isinstance(error, Stopped)), failed[0])
            return [future.result() for future in futures]
        except BaseException:
            meter.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
