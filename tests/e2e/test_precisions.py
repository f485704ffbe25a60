"""Every pipeline of the bundled model, from its source to an answer of the engine that serves its artifact."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.precisions import Row, kernel_objection, pipelines, row, table
from shipfit.artifacts import open_store
from shipfit.core.progress import NoProgress
from shipfit.spec import Pipeline, Precision, load

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """State and data of this module alone, so that all is made anew; the cache is shared."""
    home = tmp_path_factory.mktemp("precisions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHIPFIT_STATE_DIR", str(home / "state"))
        patch.setenv("SHIPFIT_DATA_DIR", str(home / "data"))
        yield


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """What became of the pipelines so far."""
    return []


def shipfit(*arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "shipfit", *map(str, arguments), "--json", "--progress", "plain"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("file", pipelines(), ids=lambda file: file.stem.removeprefix("gemma-3-270m-"))
def test_an_artifact_is_published_pulled_and_answers(file: Path, folders: None, rows: list[Row]) -> None:
    pipeline = load(file, Pipeline)
    made = shipfit("quantize", file)
    assert not made["unchanged"]
    assert made["gate"]["passed"]
    pulled = shipfit("artifacts", "pull", f"{pipeline.name}@{pipeline.channel}")
    assert shipfit("artifacts", "verify", f"{pipeline.name}@{pipeline.channel}")["bytes"] == pulled["bytes"]
    assert {"README.md", "bom.cdx.json", "gate.html", "config.json"} <= {
        each.name for each in Path(pulled["path"]).iterdir()
    }
    with open_store(None, NoProgress()) as store:
        rows.append(row(store, pipeline))
    asked = made["gate"]["details"]["generation"]
    if "skipped" in asked:  # then the plan says so before any work
        assert kernel_objection(Precision(made["recipe"]["precision"])), asked["skipped"]
    else:
        assert all(answer["artifact"].strip() for answer in asked["answers"])


def test_the_page_of_the_documentation_has_them_all(rows: list[Row], repository: Path) -> None:
    assert [each.manifest.name for each in rows] == [load(file, Pipeline).name for file in pipelines()]
    page = (repository / "docs" / "precisions.md").read_text()
    now, then = (names(text) for text in (table(rows), page))
    assert now == then


def names(text: str) -> list[list[str]]:
    """Pipeline and engine of every line of the table: what does not differ from run to run."""
    return [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ")][1:]
