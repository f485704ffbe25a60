"""Files that a node lacks: carried by the driver, read from where the driver read them, or staged in the store."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shipfit.artifacts import Manifest, Staged, open_store
from shipfit.core.errors import EnvironmentFailure, InputError, from_os_error
from shipfit.core.progress import Progress
from shipfit.core.units import MIB
from shipfit.models import folder, parse
from shipfit.quantize.cluster.failures import MOST_TRIES, pause

R = TypeVar("R")

CARRIED_MOST = 500 * MIB
"""Bytes that the driver carries for one input; more belongs into an object store."""

_UPLOAD = ".upload"
"""In an artifact's folder: the id of the upload that has the same files. Hidden files are not uploaded."""


@dataclass(frozen=True)
class Carried:
    """A file or a folder that came with the stage itself.

    Attributes:
        files: content by path below it; a file alone has the path ".".
    """

    files: dict[str, bytes]

    def bring(self, path: Path, progress: Progress) -> None:  # noqa: ARG002
        """Write it at ``path``."""
        if path.exists():
            return
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            _remove(unfinished)
            for name, content in self.files.items():
                file = unfinished / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            unfinished.rename(path)
        except OSError as error:
            raise from_os_error(error, f"bringing {path.name}") from error


def carried(path: Path) -> Carried:
    """A file or folder of this machine, to be carried to a node.

    Raises:
        InputError: it is too large for that.
        EnvironmentFailure: it cannot be read.
    """
    try:
        files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        total = sum(file.stat().st_size for file in files)
        if total > CARRIED_MOST:
            raise InputError(
                f"{path} has {total / MIB:,.0f} MiB, too much to send it along to the nodes of a cluster",
                hint="put it into an object store and name its URL",
            )
        return Carried({str(file.relative_to(path)): file.read_bytes() for file in files})
    except OSError as error:
        raise from_os_error(error, f"reading {path.name}") from error


@dataclass(frozen=True)
class Model:
    """A source model, fetched by the node itself.

    Attributes:
        text: as in a spec's ``source``.
        base: the folder that a relative path is seen from.
        revision: its exact content.
    """

    text: str
    base: Path | None
    revision: str

    def bring(self, path: Path, progress: Progress) -> None:
        """Fetch it; it comes to lie at ``path`` because the nodes of a cluster are alike."""
        if path.exists():
            return
        found = folder(self.text, self.base, self.revision, progress)
        if found != path:
            raise EnvironmentFailure(
                f"this node keeps {self.text} at {found}, the driver at {path}",
                hint="set SHIPFIT_CACHE_DIR to the same folder on every node",
            )


def model(text: str, base: Path | None, revision: str) -> Model | None:
    """The origin of a source model; None for a folder of the driver's machine, which no reference can fetch.

    Args:
        text: as in a spec's ``source``.
        base: the folder that a relative path is seen from.
        revision: its exact content.
    """
    return None if parse(text, base).kind == "local" else Model(text, base, revision)


@dataclass(frozen=True)
class ToStore:
    """An artifact's place in the store, where a stage's output is taken.

    Attributes:
        store: its URL; None for the embedded one, which is this machine's alone.
        name: of the artifact.
        fingerprint: of the artifact.
    """

    store: str | None
    name: str
    fingerprint: str

    def keep(self, path: Path, progress: Progress) -> dict[str, Any]:
        """Upload a folder; what finds it again is in the answer. Files that have arrived are not sent again."""

        def upload() -> Staged:
            with open_store(self.store, progress) as store:
                return store.stage(path, self.name, self.fingerprint, progress)

        staged = patiently(upload, progress)
        (path / _UPLOAD).write_text(staged.upload)
        return staged.model_dump(mode="json")


@dataclass(frozen=True)
class FromStore:
    """An artifact's files in the store, committed or not yet: how one node's output is another's input.

    Attributes:
        store: its URL; None for the embedded one.
        stored: the very files: another run may have uploaded others since.
    """

    store: str | None
    stored: Manifest | Staged

    def bring(self, path: Path, progress: Progress) -> None:
        """Download them, unless the folder is what was uploaded."""
        held = _upload_of(path)
        if held == self.stored.upload:
            return
        if held:  # of an earlier attempt, which may have had other files
            shutil.rmtree(path)
        with open_store(self.store, progress) as store:
            store.fetch(self.stored, path, progress)
        (path / _UPLOAD).write_text(self.stored.upload)


def patiently(work: Callable[[], R], progress: Progress) -> R:
    """Do what needs the store. Where it fails, this alone is done again, and not the hours of work before it.

    Raises:
        EnvironmentFailure: it failed every time.
    """
    tries = 1
    while True:
        try:
            return work()
        except EnvironmentFailure as error:
            if tries == MOST_TRIES:
                raise
            progress.note(f"{error.message}; try {tries + 1} of {MOST_TRIES} in {pause(tries):g} s")
            time.sleep(pause(tries))
            tries += 1


def _upload_of(folder: Path) -> str | None:
    """The upload that a folder holds whole; None if it holds none, or not yet."""
    try:
        return (folder / _UPLOAD).read_text()
    except OSError:
        return None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
