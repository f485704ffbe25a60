"""Task files of a pipeline are seen from its folder, and what they name from theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.quantize.gate import with_task_files
from shipfit.quantize.gate.task_files import files_of
from shipfit.spec import Pipeline, load

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: tasks
source: bundled:gemma-3-270m
recipe:
  precision: gptq-w4a16
calibration:
  dataset: [bundled:lcet10]
gate:
  dataset: [bundled:alice29]
"""


def _load(folder: Path, gate: str) -> Pipeline:
    path = folder / "pipeline.yaml"
    path.write_text(_SPEC + gate)
    return load(path, Pipeline)


def test_files_become_absolute_and_names_stay(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").touch()
    pipeline = _load(tmp_path, "  tasks:\n    names: [own.yaml, arc_easy]\n    limit: 5\n")
    tasks = with_task_files(pipeline).tasks
    assert tasks
    assert [str(tmp_path / "own.yaml"), "arc_easy"] == tasks.names
    assert 5 == tasks.limit
    assert pipeline.gate.tasks
    assert ["own.yaml", "arc_easy"] == pipeline.gate.tasks.names


def test_a_gate_without_tasks_stays_as_it_is(tmp_path: Path) -> None:
    pipeline = _load(tmp_path, "")
    assert pipeline.gate == with_task_files(pipeline)


_TASK = """\
task: own
include: common.yml
dataset_path: json
dataset_kwargs: {data_files: {test: [questions.jsonl, 'more/*.jsonl'], train: shots}}
process_docs: !function helpers.docs
doc_to_text: "{{question}}\nAnswer:"
doc_to_target: /
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task file below a folder that has other files too."""
    folder = tmp_path / "tasks"
    for name in (
        "common.yml",
        "questions.jsonl",
        "more/a.jsonl",
        "more/b.txt",
        "shots/c.parquet",
        "helpers.py",
        "unused.jsonl",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "common.yml").write_text("description: ../words.txt\ninclude: own.yaml\n")
    (tmp_path / "words.txt").write_text("words")
    path = folder / "own.yaml"
    path.write_text(_TASK)
    return path


def test_everything_that_a_task_file_names_is_followed(task: Path) -> None:
    named = {str(each.relative_to(task.parent)) for each in files_of(task)}
    assert named == {
        "own.yaml",
        "common.yml",
        "../words.txt",
        "questions.jsonl",
        "more/a.jsonl",
        "shots/c.parquet",
        "helpers.py",
    }


def test_what_is_no_yaml_names_nothing(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("task: [")
    assert files_of(path) == [path]
