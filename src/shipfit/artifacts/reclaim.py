"""Giving the disk back that removed objects of the embedded store still take.

SeaweedFS keeps what was removed until its volumes are compacted, which it does by itself only after a quarter of an
hour, and the parts of multipart uploads that were cut off for ever. ``weed shell`` does both; its own command for such
uploads, ``s3.clean.uploads``, asks the filer by HTTP, and that door is closed here, so they are removed by name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

from shipfit.artifacts import weed
from shipfit.artifacts.commit import ABANDONED
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process, last_words
from shipfit.core.progress import Progress

_UPLOADS = f"/buckets/{weed.BUCKET}/.uploads"
_CREATED = re.compile(r'"crtime":\s*"(\d+)"')
_ROUNDS = 6
"""Removed objects reach their volumes within seconds: compacted again until that frees nothing more."""
_PAUSE = 1.0
_SHELL_LIMIT = 600.0


def reclaim(program: Path, folder: Path, ports: Mapping[str, int], progress: Progress) -> None:
    """Compact the volumes of the embedded store, without the parts of uploads that were cut off.

    Args:
        program: ``weed``.
        folder: where the store lies.

    Raises:
        EnvironmentFailure: SeaweedFS could not do it; its objects are as they were.
    """

    def shell(*commands: str) -> list[str]:
        return _shell(program, ports, commands)

    with progress.step("giving the disk back"):
        for upload in shell(f"fs.ls {_UPLOADS}"):
            created = _CREATED.search("\n".join(shell(f"fs.meta.cat {_UPLOADS}/{upload.strip()}")))
            if created and time.time() - int(created[1]) > ABANDONED.total_seconds():
                shell("lock", f"fs.rm -rf {_UPLOADS}/{upload.strip()}", "unlock")
        before = _size(folder)
        for _round in range(_ROUNDS):
            shell("lock", "volume.vacuum -garbageThreshold=0.01", "unlock")
            time.sleep(_PAUSE)
            after = _size(folder)
            if after == before:
                break
            before = after


def _shell(program: Path, ports: Mapping[str, int], commands: tuple[str, ...]) -> list[str]:
    """What ``weed shell`` prints."""
    lines: list[str] = []
    places = {
        "master": f"{weed.ADDRESS}:{ports['master']}.{ports['master.grpc']}",
        "filer": f"{weed.ADDRESS}:{ports['filer']}.{ports['filer.grpc']}",
    }
    argv: list[str | Path] = [program, "shell", *(f"-{part}={place}" for part, place in places.items())]
    with Process(
        argv, stdin="".join(f"{command}\n" for command in commands).encode(), on_line=lines.append
    ) as process:
        code = process.wait(_SHELL_LIMIT)
    if code:
        raise EnvironmentFailure(f"the embedded store could not be compacted: {last_words(process.tail)}")
    return [line for line in lines if line.strip()]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "objects").glob("*.dat"))
