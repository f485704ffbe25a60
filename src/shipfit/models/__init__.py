"""Models: what users name, their facts without a download, and the whole of them as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shipfit.models.facts import (
    Cache,
    CacheKind,
    Format,
    ModelFacts,
    Quantization,
    Rotary,
    Split,
    State,
    Weight,
)
from shipfit.models.reference import parse
from shipfit.models.snapshot import Snapshot

if TYPE_CHECKING:
    from shipfit.core.progress import Progress

__all__ = [
    "Cache",
    "CacheKind",
    "Format",
    "ModelFacts",
    "Quantization",
    "Rotary",
    "Snapshot",
    "Split",
    "State",
    "Weight",
    "folder",
    "load_facts",
    "parse",
    "revision",
    "snapshot",
]


def load_facts(text: str, base: Path | None = None) -> ModelFacts:
    """The facts of a model, without downloading it.

    Read from its ``config.json`` and safetensors headers: of a folder, of the hub by range requests, of object
    storage likewise; well-known models from the catalogue that shipfit brings.

    Args:
        text: as in a spec's ``model``.
        base: the folder that a relative path is seen from.

    Raises:
        InputError: the text is no reference, there is no such model, or its architecture is not known.
        EnvironmentFailure: the hub or the store is out of reach.
    """
    from shipfit.models.load import facts_of

    return facts_of(parse(text, base))


def revision(text: str, base: Path | None, progress: Progress) -> str:
    """What names a model's exact content now: a commit, or a digest. Nothing is fetched; a folder here is read.

    Args:
        text: as in a spec's ``model``.
        base: the folder that a relative path is seen from.
        progress: told what is going on.

    Raises:
        InputError: the text is no reference, or there is no such model.
        EnvironmentFailure: the hub or the store is out of reach.
    """
    from shipfit.models.fetch import revision_of

    return revision_of(parse(text, base), progress)


def folder(text: str, base: Path | None, exact: str, progress: Progress) -> Path:
    """The whole model as a folder on this machine, fetched or made if it is not here.

    Args:
        text: as in a spec's ``model``.
        base: the folder that a relative path is seen from.
        exact: what ``revision`` said of it.
        progress: told what is going on.

    Raises:
        InputError: the text is no reference, or there is no such model.
        EnvironmentFailure: the hub or the store is out of reach, or the disk is full.
    """
    from shipfit.models.fetch import folder_of

    return folder_of(parse(text, base), exact, progress)


def snapshot(text: str, base: Path | None, progress: Progress) -> Snapshot:
    """A model as it is now, as a folder on this machine; see ``revision`` and ``folder``."""
    exact = revision(text, base, progress)
    return Snapshot(folder(text, base, exact, progress), exact)
