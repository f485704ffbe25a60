from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from shipfit.hardware import cpu


@pytest.fixture
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    cpu.processor.cache_clear()


@pytest.mark.usefixtures("_cache")
def test_the_probe_is_plausible_short_and_remembered(tmp_path: Path) -> None:
    begun = time.perf_counter()
    first = cpu.processor()
    assert time.perf_counter() - begun < 10  # about one second on a quiet machine
    assert first.cpu is not None
    assert len(os.sched_getaffinity(0)) == first.cpu.cores
    assert 0.5 < first.cpu.core_bandwidth_gb_s < 500
    assert first.bandwidth_gb_s > first.cpu.core_bandwidth_gb_s / 4  # a busy machine may slow either
    assert 0.001 < first.cpu.core_tflops < 2
    cpu.processor.cache_clear()
    assert first == cpu.processor()


@pytest.mark.usefixtures("_cache")
def test_a_damaged_note_is_measured_again(tmp_path: Path) -> None:
    cpu.processor()
    (note,) = (tmp_path / "hardware").iterdir()
    note.write_text("{")
    cpu.processor.cache_clear()
    assert cpu.processor().bandwidth_gb_s > 0
    assert note.read_text() != "{"


@pytest.mark.usefixtures("_cache")
def test_what_a_busy_machine_measures_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    cpu.processor()
    assert not list((tmp_path / "hardware").iterdir())
