"""What a worker says is the user's to mend names the line of the pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.core.worker import WorkerError
from shipfit.quantize.blame import blamed
from shipfit.spec import Pipeline, load

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: x
source: bundled:gemma-3-270m
recipe:
  precision: gptq-w4a16
  group_size: 128
calibration:
  dataset: [a.txt]
  samples: 4
gate:
  dataset: [b.txt]
  samples: 2
"""


@pytest.mark.parametrize(
    ("field", "calibrating", "line"),
    [
        ("recipe.group_size", True, "7: recipe.group_size"),
        ("source", False, "4: source"),
        ("samples", True, "10: calibration.samples"),
        ("samples", False, "13: gate.samples"),
    ],
)
def test_a_field_is_found_in_the_file(tmp_path: Path, field: str, calibrating: bool, line: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(_SPEC)
    pipeline = load(path, Pipeline)
    error = WorkerError(
        "quantizing failed: E: bad", kind="E", detail="is bad", log=None, field=field, hint="mend it"
    )
    told = blamed(error, pipeline, pipeline.all_recipes[0], calibrating=calibrating)
    assert isinstance(told, InputError)
    assert str(told) == f"{path}:{line}: is bad; mend it"


def test_what_is_nobodys_fault_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(_SPEC)
    pipeline = load(path, Pipeline)
    error = WorkerError("quantizing failed", kind=None, detail="", log=None)
    assert blamed(error, pipeline, pipeline.all_recipes[0], calibrating=True) is error
