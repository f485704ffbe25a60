"""The files of a folder that become those of an artifact, read once and hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from shipfit.artifacts.hashing import PIECE
from shipfit.artifacts.manifest import is_safe_path
from shipfit.core.errors import EnvironmentFailure, InputError, from_os_error
from shipfit.core.transfers import Meter


def files_of(folder: Path) -> dict[str, Path]:
    """The files to upload by their names in the artifact. Hidden ones, and what lies in hidden folders, stay out.

    Raises:
        InputError: the folder holds no files, or one that no artifact can hold.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder", hint="name the folder of the model")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in name.split("/")) or path.is_dir():
            continue
        if not is_safe_path(name):
            raise InputError(
                f"{path}: no artifact can hold a file of this name",
                hint="use letters, digits and . _ + = @ - only",
            )
        found[name] = path
    if not found:
        raise InputError(f"{folder}: holds no files", hint="name the folder of the model")
    return found


def read_hashed(path: Path, size: int, digest: hashlib._Hash, meter: Meter) -> Iterator[bytes]:
    """The content of a file in chunks, each fed to ``digest`` before it is handed on.

    Raises:
        EnvironmentFailure: the file cannot be read, or has not ``size`` bytes any more.
    """
    count = 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(PIECE):
                digest.update(chunk)
                count += len(chunk)
                meter.add(len(chunk))
                yield chunk
    except OSError as error:
        raise from_os_error(error, f"reading {path.name}") from error
    if count != size:
        raise EnvironmentFailure(f"{path} changed while it was uploaded", hint="run the command again")
