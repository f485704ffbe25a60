"""Task files of a pipeline are seen from its folder."""

from __future__ import annotations

from pathlib import Path

from shipfit.quantize.gate import with_task_files
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
