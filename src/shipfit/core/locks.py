"""Locks between processes: released by the kernel when their holder ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a file lock together with others; waits while another process holds it by ``exclusive``.

    Args:
        path: the lock file; made if it is not there, and left in place.
    """
    with _opened(path) as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        yield


@contextmanager
def exclusive_at_once(path: Path) -> Iterator[bool]:
    """Hold a file lock if no other process does, in either way; says whether it is held.

    Args:
        path: the lock file; made if it is not there, and left in place.
    """
    with _opened(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a file lock; one process at a time gets past this line.

    Args:
        path: the lock file; made if it is not there, and left in place.
        on_wait: called once if another process holds the lock, before waiting for it.
    """
    with _opened(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _opened(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")
