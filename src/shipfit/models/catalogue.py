"""Configurations of well-known models, so that planning them needs no network.

One JSON file a model: ``names`` (what users call it; fine-tunes of the same dimensions too), ``source`` (where the
configuration was read) and ``config`` (the fields of its ``config.json`` that sizing reads).
"""

from __future__ import annotations

import json
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
    contents = (json.loads(path.read_bytes()) for path in sorted(_FOLDER.glob("*.json")))
    return tuple(Entry(tuple(each["names"]), each["source"], each["config"]) for each in contents)


def find(text: str) -> Entry | None:
    """The known model of that name; None where it is not known."""
    return next((entry for entry in entries() if text in entry.names), None)
