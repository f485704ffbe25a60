"""The exact revision of a model, and the whole of it as a folder on this machine."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from shipfit.core import locks
from shipfit.core.disk import Wanted, require_room
from shipfit.core.errors import EnvironmentFailure, InputError, from_os_error
from shipfit.core.paths import cache_dir
from shipfit.core.progress import Progress
from shipfit.core.transfers import Meter, for_each
from shipfit.models.files import LocalFiles, StoreFiles, store_failure
from shipfit.models.reference import ModelReference

_PIECE = 16 * 2**20
"""Bytes of a file in one request: files are larger than memory, and take longer than a request may."""


def revision_of(reference: ModelReference, progress: Progress) -> str:
    """What names a model's exact content now, found out without fetching it; a folder here is read.

    Raises:
        InputError: there is no such model.
        EnvironmentFailure: the hub or the store is out of reach.
    """
    if reference.kind == "bundled":
        from shipfit.models import bundled

        return bundled.revision(reference.name)
    if reference.kind == "hub":
        from shipfit.models import hub

        return hub.commit(reference) or hub.download(reference, progress).name
    if reference.path is not None:
        return _digest(_checked(reference.path), progress)
    return _listing(reference.url or "")[0]


def folder_of(reference: ModelReference, revision: str, progress: Progress) -> Path:
    """The model as a folder, fetched or made if it is not here.

    Args:
        reference: the model.
        revision: from ``revision_of``.
        progress: told what is going on.

    Raises:
        InputError: there is no such model.
        EnvironmentFailure: the hub or the store is out of reach, the disk is full, or the model is another by now.
    """
    if reference.kind == "bundled":
        from shipfit.models import bundled

        return bundled.folder(reference.name, progress)
    if reference.kind == "hub":
        from shipfit.models import hub

        return hub.download(replace(reference, revision=revision), progress)
    if reference.path is not None:
        return _checked(reference.path)
    return _from_store(reference.url or "", reference.name, revision, progress)


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").exists():
        raise InputError(
            "there is no such file",
            hint="name a folder that holds a model",
            where=str(folder / "config.json"),
        )
    return folder


def _digest(folder: Path, progress: Progress) -> str:
    """Digest of a folder's files, names and content: shapes alone do not tell two fine-tunes apart."""
    digest = hashlib.sha256()
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    with progress.step(f"reading {folder.name}"):
        for number, path in enumerate(files):
            progress.update(path.name, number / len(files))
            try:
                with path.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").digest()
            except OSError as error:
                raise from_os_error(error, "reading the model") from error
            digest.update(f"{path.name}\0".encode() + content)
    return digest.hexdigest()[:40]


def _listing(url: str) -> tuple[str, dict[str, int]]:
    """The revision of a folder of object storage (tags and sizes name the content), and the bytes of its files."""
    files = StoreFiles(url)
    try:
        listed = sorted(files.store.list_with_delimiter()["objects"], key=lambda each: str(each["path"]))
    except Exception as error:
        raise store_failure(url, error) from error
    sizes = {str(each["path"]): int(each["size"]) for each in listed}
    if "config.json" not in sizes:
        raise InputError(
            "there is no such file", hint="name a folder that holds a model", where=f"{url}/config.json"
        )
    stamp = "\n".join(f"{each['path']} {each['size']} {each['e_tag']}" for each in listed)
    return hashlib.sha256(f"{url}\n{stamp}".encode()).hexdigest()[:40], sizes


def _from_store(url: str, name: str, revision: str, progress: Progress) -> Path:
    """Copy a folder of object storage into the cache; what came before a call was cut off is not asked for again."""
    folder = cache_dir("models") / f"{name}-{revision[:12]}"
    with locks.exclusive(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.unfinished")
            try:
                _copy_all(url, revision, unfinished, progress)
            except _Replaced:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            unfinished.rename(folder)
    return folder


class _Replaced(EnvironmentFailure):
    """Another model lies at the address by now."""


def _copy_all(url: str, revision: str, folder: Path, progress: Progress) -> None:
    files, here, sizes = StoreFiles(url), LocalFiles(folder), _unchanged(url, revision)
    folder.mkdir(parents=True, exist_ok=True)
    to_come = sum(sizes.values()) - sum(here.size(name) or 0 for name in sizes)
    require_room(Wanted(url, to_come, folder, "SHIPFIT_CACHE_DIR"))
    with progress.step(f"fetching {url}"):
        meter = Meter(progress, "fetching", to_come)
        for_each(sizes.items(), lambda each: _copy(files, *each, folder / each[0], meter), meter)
    _unchanged(url, revision)  # nobody has put another there meanwhile


def _unchanged(url: str, revision: str) -> dict[str, int]:
    """The files of a folder of object storage that is still what it was, with their bytes."""
    now, sizes = _listing(url)
    if now != revision:
        raise _Replaced(f"{url} has changed since this run began", hint="run it again")
    return sizes


def _copy(files: StoreFiles, name: str, size: int, path: Path, meter: Meter) -> None:
    """Bring what a file here lacks at its end."""
    try:
        with path.open("ab") as stream:
            for offset in range(stream.tell(), size, _PIECE):
                piece = files.part(name, offset, min(_PIECE, size - offset))
                stream.write(piece)
                meter.add(len(piece))
    except OSError as error:
        raise from_os_error(error, "fetching the model") from error
