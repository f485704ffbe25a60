"""Reading an artifact's files from the store, each compared with the manifest by size and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from shipfit.artifacts.layout import upload_prefix
from shipfit.artifacts.manifest import FileEntry, Manifest
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.parallel import Meter, for_each
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import Progress

_CHUNK = 4 * 2**20


def verify_stored(objects: Objects, manifest: Manifest, progress: Progress) -> None:
    """Read every file of an artifact in the store and compare its size and digest with the manifest.

    Raises:
        EnvironmentFailure: a file is missing or differs; names it and says how.
    """
    meter = Meter(progress, f"verifying {manifest.name}", manifest.total_bytes)

    def check(entry: FileEntry) -> None:
        digest = hashlib.sha256()
        count = 0
        for chunk in _from_store(objects, manifest, entry, 0):
            digest.update(chunk)
            count += len(chunk)
            meter.add(len(chunk))
        _compare(objects, manifest, entry, count, digest.hexdigest())

    for_each(manifest.files, check, meter)


def fetch(objects: Objects, manifest: Manifest, entry: FileEntry, part: Path, meter: Meter) -> None:
    """Bring one file to ``part``, going on from what an earlier pull left there."""
    resumed = part.exists() and part.stat().st_size <= entry.bytes
    digest = hashlib.sha256()
    count = hash_file(part, digest, meter) if resumed else 0
    with part.open("r+b" if resumed else "wb") as stream:
        stream.seek(count)
        if count < entry.bytes or entry.bytes == 0:
            for chunk in _from_store(objects, manifest, entry, count):
                stream.write(chunk)
                digest.update(chunk)
                count += len(chunk)
                meter.add(len(chunk))
    if resumed and digest.hexdigest() != entry.sha256:
        part.unlink()  # what was left there was not good: once more from the beginning
        fetch(objects, manifest, entry, part, meter)
        return
    try:
        _compare(objects, manifest, entry, count, digest.hexdigest())
    except EnvironmentFailure:
        part.unlink()
        raise


def hash_file(path: Path, digest: hashlib._Hash, meter: Meter) -> int:
    """Feed a file to ``digest``; returns its bytes."""
    count = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            count += len(chunk)
            meter.add(len(chunk))
    return count


def _from_store(objects: Objects, manifest: Manifest, entry: FileEntry, offset: int) -> Iterator[bytes]:
    key = f"{upload_prefix(manifest.name, manifest.fingerprint, manifest.upload)}/{entry.path}"
    try:
        yield from objects.stream(key, offset, f"reading {entry.path} of {manifest.name}")
    except FileNotFoundError:
        raise _refusal(objects, manifest, entry, "is missing from the store") from None


def _compare(objects: Objects, manifest: Manifest, entry: FileEntry, count: int, digest: str) -> None:
    if count != entry.bytes:
        raise _refusal(
            objects,
            manifest,
            entry,
            f"has {count:,} bytes in the store, not the {entry.bytes:,} of the manifest",
        )
    if digest != entry.sha256:
        raise _refusal(
            objects,
            manifest,
            entry,
            f"has other content in the store than the manifest says"
            f" (sha256 {digest[:12]}..., not {entry.sha256[:12]}...)",
        )


def _refusal(objects: Objects, manifest: Manifest, entry: FileEntry, why: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{objects.label}: artifact {manifest.name} ({manifest.fingerprint[:12]}) is refused: {entry.path} {why}",
        hint=f"roll the channel back, or restore the file (`shipfit artifacts verify {manifest.name}` checks it)",
    )
