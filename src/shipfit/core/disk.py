"""Whether disks have room, before anything is written to them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.units import GIB


@dataclass(frozen=True)
class Wanted:
    """What is to be written.

    Attributes:
        what: it is, for the error line.
        bytes: that it takes.
        folder: where it is to lie; made with its first file.
        variable: of the environment, which names the folder.
    """

    what: str
    bytes: float
    folder: Path
    variable: str

    @property
    def there(self) -> Path:
        """The folder, or the nearest above it that is there."""
        return next(each for each in (self.folder, *self.folder.parents) if each.exists())


def require_room(*wanted: Wanted) -> None:
    """Refuse what disks have no room for, all that goes to the same one together.

    Raises:
        EnvironmentFailure: less is free; says how much.
    """
    by_disk: dict[int, list[Wanted]] = {}
    for each in wanted:
        by_disk.setdefault(each.there.stat().st_dev, []).append(each)
    for together in by_disk.values():
        needed = sum(each.bytes for each in together)
        free = shutil.disk_usage(together[0].there).free
        if needed > free:
            what = _joined([each.what for each in together], "and")
            raise EnvironmentFailure(
                f"{what} {'take' if together[1:] else 'takes'} about {needed / GIB:,.1f} GiB, and"
                f" {free / GIB:,.1f} are free in {together[0].folder}",
                hint=f"free some, or set {_joined([each.variable for each in together], 'or')} to another disk",
            )


def _joined(words: list[str], last: str) -> str:
    *others, end = words
    return f"{', '.join(others)} {last} {end}" if others else end
