"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from shipfit.cli.context import Settings, progress
from shipfit.core.progress import ProgressStyle

# Time is for benchmarks: a loaded machine is no reason for a test to fail. What fails once must fail again.
settings.register_profile("shipfit", deadline=None, derandomize=True)
settings.load_profile("shipfit")

REPOSITORY = Path(__file__).parents[1]

WAITING = {"cluster", "helm", "serve"}
"""Folders of integration tests that mostly wait: for pods, for time-outs, for a model to start.

All of a cluster are among them: they share its nodes, and simulated ones would take the pods of another lane.
"""


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """What `make test` does side by side: what computes in one lane, for it would be in its own way; what waits beside."""

    def _split_scope(self, nodeid: str) -> str:
        """The lane of a test; those of units go wherever there is room."""
        _, kind, *folders = nodeid.partition("::")[0].split("/")
        if kind == "unit":
            return nodeid
        return "waiting" if kind == "integration" and WAITING & set(folders) else "computing"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Schedule in lanes."""
    return Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick ones first, and the whole loop last: it keeps its promise best when the other lane has ended."""
    order = ("unit", "integration", "e2e")
    items.sort(key=lambda item: order.index(item.path.relative_to(REPOSITORY / "tests").parts[0]))


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
