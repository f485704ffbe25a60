"""What a dataset is once it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Part = Literal["calibration", "gate"]

Document = dict[str, Any]
"""One document: ``text``; or ``prompt`` and ``completion``; or ``messages``, a list of ``role`` and ``content``."""


@dataclass(frozen=True)
class DocumentFile:
    """The documents of one source, as workers read them.

    Attributes:
        path: one JSON object a line; a copy, which stays as it is while the user edits the original.
        weight: the source's share of the samples, beside the weights of the other sources.
        count: documents in it.
        origin: where they come from, with the exact revision where there is one.
    """

    path: Path
    weight: float
    count: int
    origin: str = ""


@dataclass(frozen=True)
class Dataset:
    """Text, ready to be read by a worker.

    Attributes:
        documents: one file a source.
        digest: SHA-256 over their contents and shares, in order: the same on every machine.
        dropped: documents of the gate that are left out because the calibration text has them too.
    """

    documents: tuple[DocumentFile, ...]
    digest: str
    dropped: int = 0


@dataclass(frozen=True)
class Source:
    """A source of text that was found; its files are fetched one at a time, when they are read.

    Attributes:
        origin: where it lies, with the exact revision where there is one.
        names: the files that are read, in this order.
        fetch: makes a file of that name lie on this machine.
    """

    origin: str
    names: tuple[str, ...]
    fetch: Callable[[str], Path]
