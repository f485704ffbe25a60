"""Whether a disk has room, before anything is written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.units import GIB


def require_room(what: str, needed: float, folder: Path, variable: str) -> None:
    """Refuse what a disk has no room for.

    Args:
        what: it is, for the error line.
        needed: its bytes.
        folder: where it is to lie; it is made with its first file.
        variable: of the environment, which names the folder.

    Raises:
        EnvironmentFailure: less is free; says how much.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise EnvironmentFailure(
            f"{what} takes about {needed / GIB:,.1f} GiB, and {free / GIB:,.1f} are free in {folder}",
            hint=f"free some, or set {variable} to another disk",
        )
