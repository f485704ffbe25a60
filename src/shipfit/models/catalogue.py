"""Configurations of well-known models, so that planning them needs no network.

One JSON file a publisher, a list of its models: ``names`` (what users call a model; fine-tunes of the same dimensions
too), ``source`` (where its configuration was read) and ``config`` (the fields of its ``config.json`` that sizing
reads). Few are known only from memory: they have ``checked: false``, their source says so, and so does every plan.

A name in here is planned without looking further. What the publisher has now is read by naming it: a folder that
holds the ``config.json``, or a revision on the hub (``org/name@main``).
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
        checked: whether it was read, or at least confirmed by what was measured; False: written from memory.
    """

    names: tuple[str, ...]
    source: str
    config: dict[str, Any]
    checked: bool = True


@cache
def entries() -> tuple[Entry, ...]:
    """All known models, by publisher and name."""
    return tuple(entry for path in sorted(_FOLDER.glob("*.json")) for entry in _read(path))


def find(text: str) -> Entry | None:
    """The known model of that name; None where it is not known.

    The file of its publisher is looked at first: fine-tunes by others lie in the file of the model's own.
    """
    path = _FOLDER / f"{re.split('[/:]', text)[0]}.json"
    own = _read(path) if path.parent == _FOLDER and path.is_file() else ()
    return next((entry for entry in own if text in entry.names), None) or next(
        (entry for entry in entries() if text in entry.names), None
    )


@cache
def _read(path: Path) -> tuple[Entry, ...]:
    return tuple(
        Entry(tuple(each["names"]), each["source"], each["config"], each.get("checked", True))
        for each in json.loads(path.read_bytes())
    )
