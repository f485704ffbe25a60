"""Configurations of well-known models, so that planning them needs no network.

One JSON file a model: ``names`` (what users call it; fine-tunes of the same dimensions too), ``source`` (where the
configuration was read) and ``config`` (the fields of its ``config.json`` that sizing reads).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).with_name("catalogue")


@dataclass(frozen=True)
class Entry:
    """A known model.

    Attributes:
        names: what it is called in a spec.
        source: where its configuration was read.
        config: the fields of its ``config.json`` that sizing reads.
    """

    names: tuple[str, ...]
    source: str
    config: dict[str, Any]


@cache
def entries() -> tuple[Entry, ...]:
    """All known models, by file name."""
    return tuple(_read(path) for path in sorted(_FOLDER.glob("*.json")))


def find(text: str) -> Entry | None:
    """The known model of that name; None where it is not known.

    The file of that name is looked at first: reading all takes tens of milliseconds.
    """
    path = _FOLDER / f"{re.sub('[/:]', '--', text)}.json"
    if path.parent == _FOLDER and path.is_file():
        entry = _read(path)
        if text in entry.names:
            return entry
    return next((entry for entry in entries() if text in entry.names), None)


def _read(path: Path) -> Entry:
    content = json.loads(path.read_bytes())
    return Entry(tuple(content["names"]), content["source"], content["config"])
