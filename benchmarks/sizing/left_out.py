"""Predictions of rows by fits that have not seen them: ``python -m scripts.fit_speed`` keeps them for the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from shipfit.sizing import Speed

_FILE = Path(__file__).with_suffix(".json")

WITHOUT_MODEL = "without the model's rows"
WITHOUT_GPU = "without the GPU's rows"


def read_left_out() -> dict[str, dict[str, Speed]]:
    """Predictions by what the fit went without, and then by row number."""
    return {
        without: {row: Speed(ttft, tpot, rate, 0.0, False) for row, (ttft, tpot, rate) in rows.items()}
        for without, rows in json.loads(_FILE.read_text(encoding="utf-8")).items()
    }


def write_left_out(predictions: Mapping[str, Mapping[str, Speed]]) -> None:
    """Keep predictions by what the fit went without, and then by row number; a line each row."""
    parts = []
    for without, rows in predictions.items():
        lines = [
            f'  "{row}": [{each.ttft_s:.5g}, {each.tpot_s:.5g}, {each.tokens_per_s:.5g}]'
            for row, each in sorted(rows.items(), key=lambda item: int(item[0]))
        ]
        parts.append(f' "{without}": {{\n' + ",\n".join(lines) + "\n }")
    _FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
