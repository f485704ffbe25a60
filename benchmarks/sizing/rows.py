"""Rows of measured figures, as the CSV files of ``ground_truth`` hold them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of a file.

    Attributes:
        cells: column to text; blank where the source did not say.
    """

    cells: Mapping[str, str]

    @property
    def number(self) -> str:
        """What the row is called."""
        return self.cells["row_id"]

    def text(self, column: str) -> str | None:
        """A cell's text; None where it is blank or the column is not there."""
        return self.cells.get(column, "").strip() or None

    def figure(self, column: str) -> float | None:
        """A cell as a number; None where it is blank."""
        text = self.text(column)
        return None if text is None else float(text)

    def whole(self, column: str) -> int | None:
        """A cell as a whole number; None where it is blank."""
        figure = self.figure(column)
        return None if figure is None else int(figure)


def read_rows(path: Path) -> list[Row]:
    """Every row of a CSV file with a head line."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [Row(cells) for cells in csv.DictReader(stream)]
