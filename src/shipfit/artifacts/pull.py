"""Pulling: files into the cache under temporary names, each verified by size and digest, the marker last.

A folder of the cache holds the files of one artifact and ``.manifest.json``, its marker: without it, the pull was cut
off and goes on from what is there. With it, every file is still verified by digest before the folder is used; one
that does not match (a flipped byte, a cut-off disk) is fetched anew, with a note.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from shipfit.artifacts.download import fetch, hash_file
from shipfit.artifacts.manifest import FileEntry, Manifest
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.parallel import Meter, for_each
from shipfit.core import locks
from shipfit.core.errors import EnvironmentFailure, from_os_error
from shipfit.core.paths import cache_dir, write_atomically
from shipfit.core.progress import Progress

_MARKER = ".manifest.json"
_PARTS = ".parts"
_RESERVE = 64 * 2**20
"""Bytes of the disk that a pull leaves free."""


@dataclass(frozen=True)
class Pulled:
    """An artifact on this machine, verified.

    Attributes:
        path: the folder of the model.
        manifest: what it is.
    """

    path: Path
    manifest: Manifest


def pull(objects: Objects, manifest: Manifest, progress: Progress) -> Pulled:
    """Bring an artifact into the cache, or verify that it is there.

    Raises:
        EnvironmentFailure: the store failed or holds other bytes than the manifest says (names the file), or the
            disk is full.
    """
    folder = cache_dir("artifacts", manifest.name, manifest.fingerprint)
    what = f"{manifest.name} ({manifest.fingerprint[:12]})"
    with (
        locks.exclusive(
            folder.with_suffix(".lock"),
            on_wait=lambda: progress.note(f"waiting for another shipfit that pulls {what}"),
        ),
        _disk_errors(manifest.name),
    ):
        complete = (folder / _MARKER).exists()
        missing = _verify_local(folder, manifest, progress)
        if complete:
            for entry in missing:
                progress.note(f"{folder / entry.path} does not match its digest; fetching it anew")
        if missing:
            with progress.step(f"pulling {what}"):
                _fetch_all(objects, manifest, missing, folder, progress)
        _remove_strangers(folder, manifest, progress)
        if missing or not complete:
            write_atomically(folder / _MARKER, manifest.model_dump_json(indent=2))
    return Pulled(folder, manifest)


def pulled_manifest(folder: Path) -> Manifest | None:
    """The manifest of the artifact that was pulled into ``folder``; None where the folder is something else."""
    try:
        return Manifest.model_validate_json((folder / _MARKER).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _verify_local(folder: Path, manifest: Manifest, progress: Progress) -> list[FileEntry]:
    """The files that are not there, or not as the manifest says."""
    there = [entry for entry in manifest.files if _has_size(folder / entry.path, entry.bytes)]
    meter = Meter(progress, f"verifying {manifest.name}", sum(entry.bytes for entry in there))

    def matches(entry: FileEntry) -> bool:
        digest = hashlib.sha256()
        hash_file(folder / entry.path, digest, meter)
        return digest.hexdigest() == entry.sha256

    good = {entry.path for entry, good in zip(there, for_each(there, matches, meter), strict=True) if good}
    return [entry for entry in manifest.files if entry.path not in good]


def _fetch_all(
    objects: Objects, manifest: Manifest, entries: list[FileEntry], folder: Path, progress: Progress
) -> None:
    parts = folder / _PARTS
    parts.mkdir(exist_ok=True)
    total = sum(entry.bytes for entry in entries)
    present = sum(path.stat().st_size for path in parts.iterdir())
    free = shutil.disk_usage(folder).free
    if free - _RESERVE < total - present:
        raise EnvironmentFailure(
            f"no space left on the disk for {manifest.name}: {(total - present) / 2**20:,.0f} MiB are to come and"
            f" {free / 2**20:,.0f} MiB are free in {folder}",
            hint="free some, or set SHIPFIT_CACHE_DIR to another disk",
        )
    meter = Meter(progress, f"pulling {manifest.name}", total)

    def bring(entry: FileEntry) -> None:
        part = parts / entry.path.replace("/", "%")  # no path in a manifest holds a percent sign
        fetch(objects, manifest, entry, part, meter)
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)

    for_each(entries, bring, meter)
    shutil.rmtree(parts)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _remove_strangers(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """A file that the manifest does not name would be loaded with the model and verified by nobody."""
    known = {folder / entry.path for entry in manifest.files}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in known and path != folder / _MARKER:
            progress.note(f"{path} is not part of {manifest.name}; removing it")
            path.unlink()


@contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error, f"pulling {name}") from error
