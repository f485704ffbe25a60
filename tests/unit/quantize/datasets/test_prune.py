"""The cache's bounds: what was not used for longest goes, what was used lately stays."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from shipfit.quantize.datasets import prune as module
from shipfit.quantize.datasets.prune import IN_USE_S, prune


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for two files of ten bytes."""
    monkeypatch.setattr(module, "MOST_BYTES", 20)


def used(path: Path, weeks_ago: float) -> Path:
    path.write_text("ten bytes.")
    os.utime(path, 2 * (time.time() - weeks_ago * IN_USE_S,))
    return path


def test_what_was_not_used_for_longest_goes_until_the_rest_fits(tmp_path: Path) -> None:
    files = [used(tmp_path / name, weeks) for name, weeks in (("b", 2), ("a", 4), ("d", 0), ("c", 3))]
    prune([*files, tmp_path / "gone meanwhile"])
    assert {"b", "d"} == {each.name for each in tmp_path.iterdir()}
    prune(tmp_path.iterdir())
    assert {"b", "d"} == {each.name for each in tmp_path.iterdir()}


def test_what_a_run_may_still_read_stays(tmp_path: Path) -> None:
    files = [used(tmp_path / str(number), 0.9) for number in range(4)]
    prune(files)
    assert all(file.exists() for file in files)


def test_documents_are_pruned_as_others_are_kept(tmp_path: Path, read: Any) -> None:
    (tmp_path / "cache" / "documents").mkdir(parents=True)
    old = [used(tmp_path / "cache" / "documents" / name, 2) for name in ("a.jsonl", ".unfinished-b")]
    (tmp_path / "a.txt").write_text("The calibration has enough words for what is asked of it here.")
    calibration, gate = read("a.txt")
    assert not any(file.exists() for file in old)
    assert all(file.path.exists() for dataset in (calibration, gate) for file in dataset.documents)
