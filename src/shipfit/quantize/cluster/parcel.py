"""What goes along with a job: the pipeline's file, what it names on this machine, and keys of the stores it names.

Paths that a pipeline names relative to its own file are of this machine and go along, at the same places seen from
it. Absolute ones are the cluster's own, such as a file system that all its nodes share.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shipfit.core.data import read_yaml
from shipfit.core.errors import InputError, from_os_error
from shipfit.core.units import MIB
from shipfit.quantize.gate.task_files import files_of
from shipfit.spec import Pipeline, locate

MOST = 500 * MIB
"""Ray takes no larger package: ``GCS_STORAGE_MAX_SIZE`` in ray/_private/runtime_env/packaging.py of 2.60."""

_KINDS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "az": "azure",
    "azure": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
"""Keys of variables.yaml by the scheme of a URL."""


@dataclass(frozen=True)
class Parcel:
    """What goes along with a job.

    Attributes:
        root: the folder that all of it lies below.
        file: the pipeline's file, seen from ``root``.
        files: every file, seen from ``root``.
    """

    root: Path
    file: Path
    files: tuple[Path, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the files, names and content."""
        digest = hashlib.sha256()
        for name in self.files:
            with (self.root / name).open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
            digest.update(f"{name}\0".encode() + content)
        return digest.hexdigest()

    def copy_to(self, folder: Path) -> None:
        """Copy it to where Ray packs it up.

        Raises:
            EnvironmentFailure: the disk is full.
        """
        try:
            for name in self.files:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.root / name, target)
        except OSError as error:
            raise from_os_error(error, "packing up the pipeline") from error


def pack(pipeline: Pipeline) -> Parcel:
    """What of this machine a pipeline needs.

    Args:
        pipeline: read from a file.

    Raises:
        InputError: it names files that are not there or too large to send, or no store that a cluster reaches.
    """
    if pipeline.path is None:
        raise InputError("only a pipeline in a file can be sent to a cluster")
    if pipeline.store is None:
        raise InputError(
            "is not set, and the embedded store is out of a cluster's reach",
            hint="name an object store, such as s3://models/prod",
            where=str(pipeline.path),
            field="store",
        )
    own = pipeline.path.resolve()
    found = {own}
    for at, text in _local(pipeline):
        path = (own.parent / text).resolve()
        if not path.exists():
            raise InputError(f"there is no {path}", hint="mend the path", where=locate(pipeline, *at))
        if at[:2] == ("gate", "tasks"):
            found |= {each.resolve() for each in files_of(path) if each.is_relative_to(path.parent)}
        else:
            found |= {path} if path.is_file() else {each for each in path.rglob("*") if _goes_along(each)}
    root = Path(os.path.commonpath([file.parent for file in found]))
    size = sum(file.stat().st_size for file in found)
    if size > MOST:
        raise InputError(
            f"it names {size / MIB:,.0f} MiB of this machine, and a job takes {MOST // MIB} along at most",
            hint="put models and datasets into an object store and name their URLs",
            where=str(pipeline.path),
        )
    return Parcel(root, own.relative_to(root), tuple(sorted(file.relative_to(root) for file in found)))


def variables(pipeline: Pipeline) -> dict[str, str]:
    """The environment variables with the keys of the stores and the hub that a pipeline names, as far as set here."""
    by_kind: dict[str, list[str]] = read_yaml(Path(__file__).with_name("variables.yaml"))
    schemes = {text.partition("://")[0] for _, text in _named(pipeline) if "://" in text}
    kinds = {_KINDS[scheme] for scheme in schemes if scheme in _KINDS} | {"hub"}
    names = [name for kind in sorted(kinds) for name in by_kind[kind]]
    return {name: os.environ[name] for name in names if name in os.environ}


def _local(pipeline: Pipeline) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What a pipeline names relative to its file."""
    for at, text in _named(pipeline):
        if at == ("source",) and not text.startswith(("./", "../")):
            continue
        if ":" not in text and not text.startswith(("/", "~")):
            yield at, text


def _named(pipeline: Pipeline) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Everything that a pipeline reads or writes, with its place in the file."""
    yield ("source",), pipeline.source
    if pipeline.store:
        yield ("store",), pipeline.store
    sections = {"calibration": pipeline.calibration, "gate": pipeline.gate}
    for part, section in sections.items():
        for number, source in enumerate(section.dataset if section else []):
            yield (part, "dataset", number), source if isinstance(source, str) else source.source
    for number, task in enumerate(pipeline.gate.tasks.names if pipeline.gate.tasks else []):
        if task.endswith((".yaml", ".yml")):  # else one that the harness brings
            yield ("gate", "tasks", "names", number), task


def _goes_along(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")
