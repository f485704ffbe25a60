"""Reading an artifact's files from the store, each compared by size and digest with what the store says it holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shipfit.artifacts.hashing import PIECE, Digest
from shipfit.artifacts.manifest import FileEntry, Manifest, Staged, file_key
from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure, from_os_error
from shipfit.core.progress import Progress
from shipfit.core.transfers import TRANSFERS, Meter, for_each

if TYPE_CHECKING:
    from obstore import Bytes

PARTS = ".parts"
"""Folder, below that of the artifact, of the files that are still coming."""
_RESERVE = 64 * 2**20
"""Bytes of the disk that are left free."""


def verify_stored(objects: Objects, manifest: Manifest, progress: Progress) -> None:
    """Read every file of an artifact in the store and compare its size and digest with the manifest.

    Raises:
        EnvironmentFailure: a file is missing or differs; names it and says how.
    """
    meter = Meter(progress, f"verifying {manifest.name}", manifest.total_bytes)
    files = min(len(manifest.files), TRANSFERS)

    def check(entry: FileEntry) -> None:
        with Digest() as digest:
            for chunk in _from_store(objects, manifest, entry, 0, files):
                digest.update(chunk)
                meter.add(len(chunk))
        _compare(objects, manifest, entry, digest.hexdigest())

    for_each(manifest.files, check, meter)


def download(
    objects: Objects, stored: Manifest | Staged, entries: list[FileEntry], folder: Path, progress: Progress
) -> None:
    """Bring files of an artifact into a folder; each stands there under its name once it has been verified.

    What an earlier call that was cut off has brought is not asked for again.

    Raises:
        EnvironmentFailure: the disk has no room, or a file in the store is missing or differs (named).
        OSError: the folder cannot be written.
    """
    parts = folder / PARTS
    parts.mkdir(exist_ok=True)
    total = sum(entry.bytes for entry in entries)
    to_come = total - sum(path.stat().st_size for path in parts.iterdir())
    free = shutil.disk_usage(folder).free
    if free - _RESERVE < to_come:
        raise EnvironmentFailure(
            f"no space left on the disk for {stored.name}: {to_come / 2**20:,.0f} MiB are to come and"
            f" {free / 2**20:,.0f} MiB are free in {folder}",
            hint="free some, or set SHIPFIT_CACHE_DIR and SHIPFIT_STATE_DIR to another disk",
        )
    meter = Meter(progress, f"pulling {stored.name}", total)
    files = min(len(entries), TRANSFERS)

    def bring(entry: FileEntry) -> None:
        part = parts / entry.path.replace("/", "%")  # no path of an artifact holds a percent sign
        _fetch(objects, stored, entry, part, files, meter)
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)

    for_each(entries, bring, meter)
    shutil.rmtree(parts)


def differing(folder: Path, stored: Manifest | Staged, progress: Progress) -> list[FileEntry]:
    """The files of an artifact that are not in the folder, or not as the store says.

    Raises:
        OSError: a file cannot be read.
    """
    there = [entry for entry in stored.files if _has_size(folder / entry.path, entry.bytes)]
    meter = Meter(progress, f"verifying {stored.name}", sum(entry.bytes for entry in there))

    def matches(entry: FileEntry) -> bool:
        with Digest() as digest:
            _hash_file(folder / entry.path, digest, meter)
        return digest.hexdigest() == entry.sha256

    good = {entry.path for entry, good in zip(there, for_each(there, matches, meter), strict=True) if good}
    return [entry for entry in stored.files if entry.path not in good]


@contextmanager
def disk_errors(name: str) -> Iterator[None]:
    """Turn the operating system's errors inside into one line."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, f"pulling {name}") from error


def _fetch(
    objects: Objects, stored: Manifest | Staged, entry: FileEntry, part: Path, files: int, meter: Meter
) -> None:
    """Bring one file to ``part``, going on from what an earlier call left there."""
    resumed = part.exists() and part.stat().st_size <= entry.bytes
    with Digest() as digest:
        count = _hash_file(part, digest, meter) if resumed else 0
        with part.open("r+b" if resumed else "wb") as stream:
            stream.seek(count)
            for chunk in _from_store(objects, stored, entry, count, files):
                digest.update(chunk)
                stream.write(chunk)
                meter.add(len(chunk))
    if resumed and digest.hexdigest() != entry.sha256:
        part.unlink()  # what was left there was not good: once more from the beginning
        _fetch(objects, stored, entry, part, files, meter)
        return
    try:
        _compare(objects, stored, entry, digest.hexdigest())
    except EnvironmentFailure:
        part.unlink()
        raise


def _hash_file(path: Path, digest: Digest, meter: Meter) -> int:
    """Feed a file to ``digest``; returns its bytes."""
    count = 0
    with path.open("rb") as stream:
        while chunk := stream.read(PIECE):
            digest.update(chunk)
            count += len(chunk)
            meter.add(len(chunk))
    return count


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _from_store(
    objects: Objects, stored: Manifest | Staged, entry: FileEntry, offset: int, files: int
) -> Iterator[Bytes]:
    key = file_key(stored, entry)
    doing = f"reading {entry.path} of {stored.name}"
    try:
        size = objects.size(key, doing)
        if size != entry.bytes:
            raise _refusal(
                objects,
                stored,
                entry,
                f"has {size:,} bytes in the store, not the {entry.bytes:,} of the manifest",
            )
        yield from objects.stream(key, offset, size, doing, files=files)
    except FileNotFoundError:
        raise _refusal(objects, stored, entry, "is missing from the store") from None


def _compare(objects: Objects, stored: Manifest | Staged, entry: FileEntry, digest: str) -> None:
    if digest != entry.sha256:
        raise _refusal(
            objects,
            stored,
            entry,
            f"has other content in the store than the manifest says"
            f" (sha256 {digest[:12]}..., not {entry.sha256[:12]}...)",
        )


def _refusal(objects: Objects, stored: Manifest | Staged, entry: FileEntry, why: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{objects.label}: artifact {stored.name} ({stored.fingerprint[:12]}) is refused: {entry.path} {why}",
        hint=f"roll the channel back, or restore the file (`shipfit artifacts verify {stored.name}` checks it)",
    )
