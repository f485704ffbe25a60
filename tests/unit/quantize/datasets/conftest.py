"""Pipelines around datasets that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.progress import NoProgress
from shipfit.quantize.datasets import Dataset, read_datasets
from shipfit.spec import Pipeline, load

SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: test
source: ./model
recipe:
  precision: gptq-w4a16
calibration:
  dataset: {calibration}
  samples: {samples}
  tokens: 4
gate:
  dataset: {gate}
  samples: 2
  tokens: 4
"""

Read = Callable[..., tuple[Dataset, Dataset]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads the datasets of a pipeline in the test's folder; the gate's is a text of its own unless named."""
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "gate.txt").write_text("The gate has words that nothing else in these tests has.")

    def read(
        *calibration: str | dict[str, Any], gate: str | dict[str, Any] = "gate.txt", samples: int = 2
    ) -> tuple[Dataset, Dataset]:
        path = tmp_path / "pipeline.yaml"
        path.write_text(
            SPEC.format(calibration=json.dumps(calibration), gate=json.dumps([gate]), samples=samples)
        )
        return read_datasets(load(path, Pipeline), NoProgress())

    return read


def documents(dataset: Dataset) -> list[list[dict[str, Any]]]:
    """What workers read, source by source."""
    return [[json.loads(line) for line in file.path.read_text().splitlines()] for file in dataset.documents]
