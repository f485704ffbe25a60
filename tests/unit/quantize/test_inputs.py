"""The fingerprint: changes with everything that makes or measures an artifact, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shipfit.artifacts import fingerprint
from shipfit.core.errors import InputError
from shipfit.models import Snapshot
from shipfit.quantize.datasets import Dataset
from shipfit.quantize.engines import engine_of
from shipfit.quantize.inputs import fingerprint_inputs
from shipfit.spec import Pipeline, load


@pytest.fixture
def pipeline(repository: Path) -> Pipeline:
    return load(repository / "pipelines" / "gemma-3-270m-gptq.yaml", Pipeline)


def digest(pipeline: Pipeline, **changed: Any) -> str:
    parts: dict[str, Any] = {
        "source": Snapshot(Path("/model"), "abc"),
        "engine": engine_of(pipeline),
        "calibration": Dataset((), "c"),
        "held_out": Dataset((), "h"),
        **changed,
    }
    return fingerprint(fingerprint_inputs(pipeline, **parts))


def test_everything_that_makes_an_artifact_changes_it(pipeline: Pipeline, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text("def main(request, report): ...")
    changed = [
        digest(pipeline),
        digest(pipeline, source=Snapshot(Path("/model"), "abd")),
        digest(pipeline, calibration=Dataset((), "d")),
        digest(pipeline, held_out=Dataset((), "d")),
        digest(pipeline, engine=replace(engine_of(pipeline), worker=script)),
        *(digest(edited) for edited in edits(pipeline)),
    ]
    assert len(set(changed)) == len(changed)


def edits(pipeline: Pipeline) -> list[Pipeline]:
    def edit(part: str, **fields: Any) -> Pipeline:
        return pipeline.model_copy(update={part: getattr(pipeline, part).model_copy(update=fields)})

    return [
        edit("recipe", group_size=64),
        edit("recipe", ignore=["lm_head", "re:.*mlp.*"]),
        edit("calibration", samples=31),
        edit("calibration", tokens=255),
        edit("calibration", seed=1),
        edit("gate", samples=15),
        edit("gate", seed=1),
    ]


def test_where_files_lie_and_what_the_limits_are_does_not(pipeline: Pipeline) -> None:
    looser = pipeline.model_copy(update={"gate": pipeline.gate.model_copy(update={"max_mean_kl": 9.0})})
    assert digest(pipeline) == digest(looser)
    assert digest(pipeline) == digest(pipeline, source=Snapshot(Path("/elsewhere"), "abc"))
    assert digest(pipeline) == digest(pipeline, calibration=Dataset((Path("/text"),), "c"))


def test_an_engine_that_does_not_make_the_precision_is_refused_by_field(
    tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "pipeline.yaml"
    text = (repository / "pipelines" / "gemma-3-270m-gptq.yaml").read_text()
    path.write_text(text.replace("gptq-w4a16\n", "nvfp4\n", 1))
    with pytest.raises(
        InputError, match=r"pipeline.yaml:8: recipe.precision: llm-compressor does not make nvfp4"
    ):
        engine_of(load(path, Pipeline))
