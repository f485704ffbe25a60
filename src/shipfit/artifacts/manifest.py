"""The documents of an artifact in the bucket: what is staged, its manifest, and the channels that point to it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue, NonNegativeInt, model_validator

from shipfit import __version__
from shipfit.artifacts.layout import upload_prefix
from shipfit.spec.base import Name, Section

SCHEMA_VERSION = 1
"""Version of the documents; a reader refuses any other."""

UploadId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""An attempt to upload an artifact."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in hexadecimal."""

_SAFE_PATH = r"(?:[A-Za-z0-9_][A-Za-z0-9._+=@-]*/)*[A-Za-z0-9_][A-Za-z0-9._+=@-]*"
"""No part begins with a dot: a manifest cannot name a file outside its folder, nor one that hides."""

FilePath = Annotated[str, Field(pattern=f"^{_SAFE_PATH}$", max_length=512)]
"""Path of a file below the artifact's folder, parts separated by ``/``."""


def is_safe_path(path: str) -> bool:
    """Whether a file of this name may be part of an artifact."""
    return len(path) <= 512 and re.fullmatch(_SAFE_PATH, path) is not None


class FileEntry(Section):
    """A file of the artifact."""

    path: FilePath
    """Path below the artifact's folder."""
    bytes: NonNegativeInt
    """Size in bytes."""
    sha256: Sha256
    """Digest of the content."""
    upload: UploadId | None = None
    """The attempt that brought it, where that is not the manifest's own: a run goes on with the files that an earlier
    one brought."""


class Source(Section):
    """The model that was quantized."""

    model: str
    """As the pipeline names it."""
    revision: str
    """Its exact revision: a commit, or a digest of the content."""


class Engine(Section):
    """The quantization engine."""

    name: str
    """As the recipe names it."""
    version: str
    """Version of its package."""
    lock_sha256: Sha256
    """Digest of the lock file of its environment: every package that took part."""


class Dataset(Section):
    """The texts that took part."""

    calibration_sha256: Sha256 | None = None
    """Digest of the calibration samples."""
    gate_sha256: Sha256
    """Digest of the held-out text of the gate."""


class GateResult(Section):
    """What the gate measured on the saved artifact."""

    passed: bool
    """Whether every limit was kept. A reader refuses an artifact whose gate did not pass."""
    figures: dict[str, float]
    """Measured figures by name, such as `mean_kl` in nats a token."""
    intervals: dict[str, tuple[float, float]] = Field(default={})
    """95% confidence intervals of figures, low and high."""
    digest: Sha256 | None = None
    """Digest of what was measured and with what: with another, the artifact is to be measured again."""
    limits: dict[str, float]
    """The limits that they were held to, by the names of the pipeline's `gate`."""
    details: dict[str, JsonValue] = Field(default={})
    """What else the gate recorded: how many tokens, on what."""


class ManifestDraft(Section):
    """All that is known of an artifact before it is published."""

    name: Name
    """The artifact's name: its pipeline's."""
    fingerprint: Sha256
    """Hash of all that determines the artifact."""
    source: Source
    """The model that was quantized."""
    recipe: dict[str, JsonValue]
    """Precision, engine and settings, as in the pipeline."""
    engine: Engine
    """The quantization engine."""
    dataset: Dataset
    """The texts that took part."""
    gate: GateResult
    """What the gate measured."""
    choice: list[dict[str, JsonValue]] = Field(default=[])
    """Where it was chosen out of several recipes: all of them, with what was measured and why it was not another."""
    source_bytes: NonNegativeInt
    """Bytes of the source model's weights."""
    producer: str = f"shipfit {__version__}"
    """The program that made it."""


class Manifest(ManifestDraft):
    """An artifact in the bucket. Written last: its presence commits the artifact."""

    schema_version: Literal[1]
    """Version of this document."""
    upload: UploadId
    """The attempt that committed it. Each has a folder of its own beside the manifest, so that no writer ever touches
    the files of another."""
    files: Annotated[list[FileEntry], Field(min_length=1)]
    """Every file, in the order of their paths."""
    created_at: datetime
    """When it was committed, in UTC."""

    @model_validator(mode="after")
    def _no_file_stands_twice(self) -> Manifest:
        paths = [entry.path for entry in self.files]
        if len(set(paths)) < len(paths):
            raise ValueError("a file stands twice")
        return self

    @property
    def total_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(entry.bytes for entry in self.files)

    @property
    def weight_bytes(self) -> int:
        """Bytes of its weights, to compare with ``source_bytes``."""
        return sum(entry.bytes for entry in self.files if entry.path.endswith((".safetensors", ".gguf")))


class Staged(Section):
    """An artifact whose files are in the store and that nobody can see yet: it waits for its manifest."""

    schema_version: Literal[1] = 1
    """Version of this document."""
    name: Name
    """The artifact's name: its pipeline's."""
    fingerprint: Sha256
    """Hash of all that determines the artifact."""
    upload: UploadId
    """The attempt that completed it."""
    files: Annotated[list[FileEntry], Field(min_length=1)]
    """Every file, in the order of their paths."""


def file_key(stored: Manifest | Staged, entry: FileEntry) -> str:
    """Where a file of an artifact lies in the store."""
    return f"{upload_prefix(stored.name, stored.fingerprint, entry.upload or stored.upload)}/{entry.path}"


class Move(Section):
    """One change of a channel."""

    action: Literal["promote", "rollback"]
    """What was done."""
    fingerprint: Sha256
    """Where the channel pointed from then on."""
    at: datetime
    """When, in UTC."""
    by: str = ""
    """Who did it, as user@host."""


class Channel(Section):
    """A named, movable pointer to an artifact, with every move it ever made."""

    schema_version: Literal[1]
    """Version of this document."""
    name: Name
    """The artifacts' name."""
    channel: Name
    """The channel's own name, such as `stable`."""
    moves: Annotated[list[Move], Field(min_length=1)]
    """From the first to the last; the last says where the channel points now."""

    @property
    def fingerprint(self) -> str:
        """Where the channel points."""
        return self.moves[-1].fingerprint

    @property
    def reach(self) -> list[str]:
        """Where the channel points, then where one rollback after the other would point it.

        A rollback takes back the latest promotion that still stands, so two of them go back two promotions.
        """
        standing: list[str] = []
        for move in self.moves:
            if move.action == "promote":
                standing.append(move.fingerprint)
            elif standing:
                standing.pop()
        return standing[::-1]

    @property
    def previous(self) -> str | None:
        """Where a rollback would point it; None if there is nothing before."""
        return self.reach[1] if len(self.reach) > 1 else None
