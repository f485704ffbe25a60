"""Why rows miss, as people found out: explained.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.sizing.scores import Label
from shipfit.core.data import read_yaml

_FILE = Path(__file__).with_name("explained.yaml")


def explanation(label: Label, quantity: str) -> str:
    """The text of the first entry that holds for a row; empty where nobody found out."""
    return next((each["text"] for each in _entries() if _holds(each, label, quantity)), "")


def _holds(entry: dict[str, Any], label: Label, quantity: str) -> bool:
    has = {**vars(label), "quantity": quantity}
    wanted = {name: value for name, value in entry.items() if name not in ("text", "rows")}
    in_rows = "rows" not in entry or label.number in {str(row) for row in entry["rows"]}
    return in_rows and all(has[name] == value for name, value in wanted.items())


@cache
def _entries() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = read_yaml(_FILE)["explained"]
    return entries
