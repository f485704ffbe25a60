"""Keeping what the cache holds of datasets within bounds: its modification time says when a file was used last."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from shipfit.core.units import GIB

MOST_BYTES = 16 * GIB
"""Of documents, and as much again of files from object storage: those of some dozens of pipelines."""

IN_USE_S = 7 * 24 * 3600
"""Seconds for which a file stays whatever its size: a run that has named it to its workers may still read it."""


def prune(files: Iterable[Path]) -> None:
    """Remove what was not used for longest, until the rest fits; another process may be at the same."""
    found = []
    for file in files:
        with suppress(FileNotFoundError):
            found.append((file.stat(), file))
    left = sum(stat.st_size for stat, _ in found)
    for stat, file in sorted(found, key=lambda each: each[0].st_mtime):
        if left <= MOST_BYTES or stat.st_mtime > time.time() - IN_USE_S:
            return
        file.unlink(missing_ok=True)
        left -= stat.st_size
