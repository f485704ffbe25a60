"""What the integration tests share: the demo's artifact, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from shipfit.core.progress import PlainProgress
from shipfit.quantize import Outcome, run_pipeline
from shipfit.spec import Pipeline, load


@dataclass(frozen=True)
class Published:
    """The demo's artifact in an embedded store.

    Attributes:
        pipeline: what made it.
        outcome: of the run that made it.
        folders: state and data of that run; ``use`` makes a test work with them.
    """

    pipeline: Pipeline
    outcome: Outcome
    folders: Path

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the test see the store that holds the artifact."""
        monkeypatch.setenv("SHIPFIT_STATE_DIR", str(self.folders / "state"))
        monkeypatch.setenv("SHIPFIT_DATA_DIR", str(self.folders / "data"))


@pytest.fixture(scope="session")
def demo_artifact(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The whole demo pipeline, once a session: Ray, GPTQ, gate, SeaweedFS; about two minutes."""
    folders = tmp_path_factory.mktemp("published")
    repository = Path(__file__).parents[2]
    pipeline = load(repository / "pipelines" / "gemma-3-270m-gptq-w4a16.yaml", Pipeline)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHIPFIT_STATE_DIR", str(folders / "state"))
        patch.setenv("SHIPFIT_DATA_DIR", str(folders / "data"))
        outcome = run_pipeline(pipeline, PlainProgress())
    return Published(pipeline, outcome, folders)
