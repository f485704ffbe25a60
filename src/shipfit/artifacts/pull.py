"""Pulling: files into a folder under temporary names, each verified by size and digest.

A folder of the cache holds the files of one artifact, its signatures, and its manifest as it stands in the store, which
is also a marker: without it, the pull was cut
off and goes on from what is there. With it, every file is still verified by digest before the folder is used; one
that does not match (a flipped byte, a cut-off disk) is fetched anew, with a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from shipfit.artifacts.download import differing, disk_errors, download
from shipfit.artifacts.manifest import Manifest, Staged
from shipfit.artifacts.objects import Objects
from shipfit.core import locks
from shipfit.core.paths import cache_dir, write_atomically
from shipfit.core.progress import Progress

MARKER = ".manifest.json"
"""The manifest's name in a pulled folder."""


@dataclass(frozen=True)
class Pulled:
    """An artifact on this machine, verified.

    Attributes:
        path: the folder of the model.
        manifest: what it is.
    """

    path: Path
    manifest: Manifest


def pull(
    objects: Objects, manifest: Manifest, content: bytes, beside: Mapping[str, bytes], progress: Progress
) -> Pulled:
    """Bring an artifact into the cache, or verify that it is there.

    Args:
        objects: where it lies.
        manifest: what it is.
        content: the same as it stands in the store.
        beside: documents that are to lie in the folder and are no part of it, by path.
        progress: told of what was wrong.

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
        disk_errors(manifest.name),
    ):
        complete = (folder / MARKER).exists()
        missing = differing(folder, manifest, progress)
        if complete:
            for entry in missing:
                progress.note(f"{folder / entry.path} does not match its digest; fetching it anew")
        if missing:
            with progress.step(f"pulling {what}"):
                download(objects, manifest, missing, folder, progress)
        documents = {**beside, MARKER: content}  # the marker last
        _remove_strangers(
            folder, {entry.path for entry in manifest.files} | documents.keys(), manifest, progress
        )
        for path, wanted in documents.items():
            _keep(folder / path, wanted)
    return Pulled(folder, manifest)


def fetch(objects: Objects, stored: Staged | Manifest, folder: Path, progress: Progress) -> None:
    """Bring what is staged or published into a folder of the caller's, or verify that it is there.

    Raises:
        EnvironmentFailure: the store failed or holds other bytes than it should (names the file), or the disk is
            full.
    """
    with disk_errors(stored.name):
        folder.mkdir(parents=True, exist_ok=True)
        missing = differing(folder, stored, progress)
        if missing:
            download(objects, stored, missing, folder, progress)


def pulled_manifest(folder: Path) -> Manifest | None:
    """The manifest of the artifact that was pulled into ``folder``; None where the folder is something else."""
    try:
        return Manifest.model_validate_json((folder / MARKER).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _keep(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, content)


def _remove_strangers(folder: Path, known: set[str], manifest: Manifest, progress: Progress) -> None:
    """A file that the manifest does not name would be loaded with the model and verified by nobody."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in known:
            progress.note(f"{path} is not part of {manifest.name}; removing it")
            path.unlink()
