"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from shipfit.cli.context import Settings, progress
from shipfit.core.progress import ProgressStyle

# Time is for benchmarks: a loaded machine is no reason for a test to fail. What fails once must fail again.
settings.register_profile("shipfit", deadline=None, derandomize=True)
settings.load_profile("shipfit")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and data of this test alone; the cache stays shared, so that environments are built once."""
    monkeypatch.setenv("SHIPFIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SHIPFIT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Global options of the command line do not leak from one test into the next."""
    yield
    Settings.debug, Settings.progress = False, ProgressStyle.AUTO
    progress.cache_clear()
