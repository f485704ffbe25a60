"""Staging: the files of an artifact into the store, where nobody sees them until a manifest names them.

Each attempt has an id and uploads below it. For every file that has arrived whole, a receipt with its size and digest
is written; the next attempt, on any machine, compares its own files with those receipts and uploads only what no
earlier attempt brought. What a crash costs is the files in flight: a multipart upload cannot be taken up by another
process through the client, so a shard is the unit of going on.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shipfit.artifacts.documents import read_document
from shipfit.artifacts.folder import files_of, read_hashed
from shipfit.artifacts.guards import is_marked
from shipfit.artifacts.layout import (
    begun_key,
    receipt_key,
    receipts_prefix,
    staged_key,
    upload_prefix,
    uploads_prefix,
)
from shipfit.artifacts.manifest import FileEntry, Staged, file_key
from shipfit.artifacts.objects import Objects
from shipfit.core.progress import Progress
from shipfit.core.transfers import Meter, for_each


def stage(
    objects: Objects,
    folder: Path,
    name: str,
    fingerprint: str,
    progress: Progress,
    require_space: Callable[[int], None],
) -> Staged:
    """Upload a folder, but for the files that an earlier attempt at the same fingerprint brought.

    Args:
        require_space: called with the bytes that are to be written; raises where there is no space for them.

    Raises:
        InputError: the folder holds no files, or one that no artifact can hold.
        EnvironmentFailure: the store failed, or a file changed while it was read.
    """
    doing = f"uploading {name}"
    sources = files_of(folder)
    sizes = {path: path.stat().st_size for path in sources.values()}
    upload = uuid.uuid4().hex
    begun = begun_key(name, fingerprint)
    objects.write(begun, _begun(upload), doing)
    # Written before the look at the mark: a remover that has not seen it is seen here, and takes only older files.
    marked = is_marked(objects, name, fingerprint, begun)
    arrived = [] if marked else _arrived(objects, name, fingerprint, doing)
    candidates = {
        path: [entry for entry in arrived if (entry.path, entry.bytes) == (path, sizes[source])]
        for path, source in sources.items()
    }
    require_space(sum(sizes[source] for path, source in sources.items() if not candidates[path]))
    meter = Meter(progress, doing, sum(sizes.values()))

    def bring(item: tuple[str, Path]) -> FileEntry:
        path, source = item
        size = sizes[source]
        if candidates[path] and (same := _same(source, size, candidates[path], meter)):
            return same
        entry = send(objects, upload_prefix(name, fingerprint, upload), path, source, size, meter, doing)
        receipt = entry.model_copy(update={"upload": upload}).model_dump_json().encode()
        objects.write(receipt_key(name, fingerprint, upload, path), receipt, doing)
        return entry

    entries = for_each(sources.items(), bring, meter)
    made = Staged(name=name, fingerprint=fingerprint, upload=upload, files=entries)
    objects.write(staged_key(name, fingerprint), made.model_dump_json(indent=2).encode(), doing)
    return made


def staged(objects: Objects, name: str, fingerprint: str) -> Staged | None:
    """What was staged last and is there whole; None if nothing is.

    Raises:
        EnvironmentFailure: the store failed, or the document cannot be read.
    """
    doing = f"looking for what is uploaded of {name}"
    value = objects.read(staged_key(name, fingerprint), doing)
    if value is None:
        return None
    found = read_document(value.content, Staged, f"what is uploaded of {name}", objects.label)
    return found if not missing(objects, found, doing) else None


def missing(objects: Objects, what: Staged, doing: str) -> list[tuple[FileEntry, int]]:
    """The files that are not in the store with their size, each with the bytes that are there.

    Raises:
        EnvironmentFailure: the store failed.
    """
    prefix = uploads_prefix(what.name, what.fingerprint)
    there = {entry.key: entry.size for entry in objects.below(prefix, doing)}
    sizes = ((entry, there.get(file_key(what, entry), 0)) for entry in what.files)
    return [
        (entry, size) for entry, size in sizes if size != entry.bytes or file_key(what, entry) not in there
    ]


def send(
    objects: Objects, prefix: str, name: str, source: Path, size: int, meter: Meter, doing: str
) -> FileEntry:
    """Upload a file, hashing it on the way.

    Raises:
        EnvironmentFailure: the store failed, or the file changed while it was read.
    """
    digest = hashlib.sha256()
    objects.upload(f"{prefix}/{name}", read_hashed(source, size, digest, meter), size, doing)
    return FileEntry(path=name, bytes=size, sha256=digest.hexdigest())


def _arrived(objects: Objects, name: str, fingerprint: str, doing: str) -> list[FileEntry]:
    """The files that earlier attempts brought and that are still there."""
    receipts = [entry.key for entry in objects.below(receipts_prefix(name, fingerprint), doing)]
    if not receipts:
        return []
    there = {entry.key: entry.size for entry in objects.below(uploads_prefix(name, fingerprint), doing)}
    read = [value for key in receipts if (value := objects.read(key, doing))]
    entries = [FileEntry.model_validate_json(value.content) for value in read]
    return [
        entry
        for entry in entries
        if there.get(f"{upload_prefix(name, fingerprint, entry.upload or '')}/{entry.path}") == entry.bytes
    ]


def _same(source: Path, size: int, candidates: list[FileEntry], meter: Meter) -> FileEntry | None:
    """The candidate that has the content of ``source``; quantizing again need not give the same bytes."""
    digest = hashlib.sha256()
    for chunk in read_hashed(source, size, digest, meter):
        del chunk
    return next((entry for entry in candidates if entry.sha256 == digest.hexdigest()), None)


def _begun(upload: str) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    return f'{{"upload": "{upload}", "at": "{now.isoformat()}"}}'.encode()
