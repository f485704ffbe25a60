"""Committing: what was staged becomes visible by its manifest, written last and only if nobody was faster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from shipfit.artifacts.folder import files_of
from shipfit.artifacts.layout import manifest_key, upload_prefix, uploads_prefix, work_prefix
from shipfit.artifacts.manifest import SCHEMA_VERSION, FileEntry, Manifest, ManifestDraft, Staged, file_key
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.stage import missing, send
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import Progress
from shipfit.core.transfers import Meter, for_each

ABANDONED = timedelta(days=1)
"""An upload without a manifest, this old, is one that was cut off: no writer takes a day for one object."""


def commit(
    objects: Objects,
    draft: ManifestDraft,
    staged: Staged,
    upload: str,
    extra: Path | None,
    progress: Progress,
) -> Manifest | None:
    """Write the manifest of what was staged; None if another writer committed the same fingerprint first.

    Args:
        upload: an id that no other attempt has.
        extra: a folder of small files that belong to the artifact and come of judging it, such as the gate's page. One
            of the name of a staged file takes its place.

    Raises:
        InputError: ``extra`` holds a file that no artifact can hold.
        EnvironmentFailure: the store failed, or a file is not there whole. Nothing is visible then.
    """
    doing = f"publishing {draft.name}"
    entries = {entry.path: entry for entry in _named(staged)}
    if extra:
        entries |= {entry.path: entry for entry in _send_all(objects, draft, upload, extra, progress, doing)}
    key = manifest_key(draft.name, draft.fingerprint)
    for entry, there in missing(objects, staged, doing):
        if objects.read(key, doing):
            return None  # who was faster tidies up
        raise EnvironmentFailure(
            f"{objects.label}: {entry.path} did not arrive whole ({there:,} of {entry.bytes:,} bytes)",
            hint="run the command again",
        )
    manifest = Manifest(
        **draft.model_dump(),
        schema_version=SCHEMA_VERSION,
        upload=upload,
        files=[entries[path] for path in sorted(entries)],
        created_at=datetime.now(UTC).replace(microsecond=0),
    )
    content = manifest.model_dump_json(indent=2).encode()
    if objects.create(key, content, doing) or _is_ours(objects, key, content, doing):
        return manifest
    return None


def tidy(objects: Objects, manifest: Manifest, own: set[str]) -> None:
    """Remove what work on a committed artifact left: its records, and files that the manifest does not name.

    Args:
        own: attempts of the caller. Files of others' go where they are so old that the attempt was cut off.

    Raises:
        EnvironmentFailure: the store failed.
    """
    doing = f"tidying {manifest.name}"
    named = {file_key(manifest, entry) for entry in manifest.files}
    ours = tuple(f"{upload_prefix(manifest.name, manifest.fingerprint, each)}/" for each in own)
    oldest = datetime.now(UTC) - ABANDONED
    left = [
        entry.key
        for entry in objects.below(uploads_prefix(manifest.name, manifest.fingerprint), doing)
        if entry.key not in named and (entry.key.startswith(ours) or entry.changed < oldest)
    ]
    work = objects.below(f"{work_prefix(manifest.name, manifest.fingerprint)}", doing)
    objects.delete([*left, *(entry.key for entry in work)], doing)


def _named(staged: Staged) -> list[FileEntry]:
    """The files, each with the attempt that brought it: the manifest is of another."""
    return [entry.model_copy(update={"upload": entry.upload or staged.upload}) for entry in staged.files]


def _send_all(
    objects: Objects, draft: ManifestDraft, upload: str, folder: Path, progress: Progress, doing: str
) -> list[FileEntry]:
    sources = files_of(folder)
    sizes = {path: path.stat().st_size for path in sources.values()}
    meter = Meter(progress, doing, sum(sizes.values()))
    prefix = upload_prefix(draft.name, draft.fingerprint, upload)
    return for_each(
        sources.items(),
        lambda item: send(objects, prefix, item[0], item[1], sizes[item[1]], meter, doing),
        meter,
    )


def _is_ours(objects: Objects, key: str, content: bytes, doing: str) -> bool:
    """Whether the manifest that stood there already is ours: a first try may succeed and its answer be lost."""
    committed = objects.read(key, doing)
    return committed is not None and committed.content == content
