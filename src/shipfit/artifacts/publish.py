"""Publishing: files first, each hashed once on its way, the manifest last and only if nobody was faster."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shipfit.artifacts.layout import manifest_key, upload_prefix, uploads_prefix
from shipfit.artifacts.manifest import SCHEMA_VERSION, FileEntry, Manifest, ManifestDraft, is_safe_path
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.parallel import Meter, for_each
from shipfit.core.errors import EnvironmentFailure, InputError, from_os_error
from shipfit.core.progress import Progress

_CHUNK = 4 * 2**20
_ABANDONED = timedelta(days=1)
"""An upload without a manifest, this old, is one that was cut off: no writer takes a day for one object."""


def publish(objects: Objects, folder: Path, draft: ManifestDraft, progress: Progress) -> Manifest | None:
    """Upload ``folder`` and commit it; None if another writer committed the same fingerprint first.

    Raises:
        InputError: the folder holds no files, or one that no artifact can hold.
        EnvironmentFailure: the store failed, or a file changed while it was read. Nothing is visible then.
    """
    doing = f"publishing {draft.name}"
    sources = _files(folder)
    sizes = {path: path.stat().st_size for path in sources.values()}
    upload = uuid.uuid4().hex
    prefix = upload_prefix(draft.name, draft.fingerprint, upload)
    meter = Meter(progress, doing, sum(sizes.values()))

    def send(item: tuple[str, Path]) -> FileEntry:
        name, path = item
        digest = hashlib.sha256()
        size = sizes[path]
        objects.upload(f"{prefix}/{name}", _read(path, size, digest, meter), size, doing)
        return FileEntry(path=name, bytes=size, sha256=digest.hexdigest())

    committed = False
    try:
        entries = for_each(sources.items(), send, meter)
        _check_arrived(objects, prefix, entries, doing)
        manifest = Manifest(
            **draft.model_dump(),
            schema_version=SCHEMA_VERSION,
            upload=upload,
            files=entries,
            created_at=datetime.now(UTC).replace(microsecond=0),
        )
        key = manifest_key(draft.name, draft.fingerprint)
        content = manifest.model_dump_json(indent=2).encode()
        committed = objects.create(key, content, doing) or _is_ours(objects, key, content, doing)
        return manifest if committed else None
    finally:
        if not committed:
            _remove_quietly(objects, prefix)


def remove_abandoned(objects: Objects, manifest: Manifest) -> None:
    """Remove what earlier attempts at this artifact left when they were cut off."""
    uploads = uploads_prefix(manifest.name, manifest.fingerprint)
    own = upload_prefix(manifest.name, manifest.fingerprint, manifest.upload)
    oldest = datetime.now(UTC) - _ABANDONED
    doing = f"tidying {manifest.name}"
    objects.delete(
        [
            entry.key
            for entry in objects.below(uploads, doing)
            if not entry.key.startswith(f"{own}/") and entry.changed < oldest
        ],
        doing,
    )


def _files(folder: Path) -> dict[str, Path]:
    """The files to publish by their names in the artifact. Hidden ones, and what lies in hidden folders, stay out."""
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


def _read(path: Path, size: int, digest: hashlib._Hash, meter: Meter) -> Iterator[bytes]:
    count = 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                count += len(chunk)
                meter.add(len(chunk))
                yield chunk
    except OSError as error:
        raise from_os_error(error, f"publishing {path.name}") from error
    if count != size:
        raise EnvironmentFailure(f"{path} changed while it was published", hint="run the command again")


def _check_arrived(objects: Objects, prefix: str, entries: list[FileEntry], doing: str) -> None:
    arrived = {entry.key.removeprefix(f"{prefix}/"): entry.size for entry in objects.below(prefix, doing)}
    for entry in entries:
        if arrived.get(entry.path) != entry.bytes:
            raise EnvironmentFailure(
                f"{objects.label}: {entry.path} did not arrive whole"
                f" ({arrived.get(entry.path, 0):,} of {entry.bytes:,} bytes)",
                hint="run the command again",
            )


def _is_ours(objects: Objects, key: str, content: bytes, doing: str) -> bool:
    """Whether the manifest that stood there already is ours: a first try may succeed and its answer be lost."""
    committed = objects.read(key, doing)
    return committed is not None and committed.content == content


def _remove_quietly(objects: Objects, prefix: str) -> None:
    """Remove an upload that will not be committed; what hinders that is not worth hiding the first error for."""
    doing = "removing an unfinished upload"
    try:
        objects.delete([entry.key for entry in objects.below(prefix, doing)], doing)
    except EnvironmentFailure:
        return
