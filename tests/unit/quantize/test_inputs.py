"""The fingerprint: changes with everything that makes an artifact, and with nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shipfit.artifacts import fingerprint
from shipfit.core.errors import InputError
from shipfit.core.progress import NoProgress
from shipfit.quantize.datasets import Dataset
from shipfit.quantize.engines import engine_of
from shipfit.quantize.inputs import Inputs, determining, resolve
from shipfit.spec import Pipeline, Precision, Recipe, load
from shipfit.spec.pipeline import Generation, Tasks
from tests.unit.tiny_llama import CONFIG


@pytest.fixture
def pipeline(repository: Path) -> Pipeline:
    return load(repository / "pipelines" / "gemma-3-270m-gptq-w4a16.yaml", Pipeline)


def digest(pipeline: Pipeline, **changed: Any) -> str:
    assert pipeline.recipe
    parts: dict[str, Any] = {
        "revision": "abc",
        "engine": engine_of(pipeline, pipeline.recipe),
        "calibration": Dataset((), "c"),
        **changed,
    }
    return fingerprint(determining(pipeline, **parts))


def edit(pipeline: Pipeline, part: str, **fields: Any) -> Pipeline:
    return pipeline.model_copy(update={part: getattr(pipeline, part).model_copy(update=fields)})


def test_everything_that_makes_an_artifact_changes_it(pipeline: Pipeline) -> None:
    assert pipeline.recipe
    engine = engine_of(pipeline, pipeline.recipe)
    changed = [
        digest(pipeline),
        digest(pipeline, revision="abd"),
        digest(pipeline, calibration=Dataset((), "d")),
        digest(pipeline, engine=replace(engine, name="gptqmodel")),
        digest(edit(pipeline, "recipe", group_size=64)),
        digest(edit(pipeline, "recipe", ignore=["lm_head", "re:.*mlp.*"])),
        digest(edit(pipeline, "calibration", samples=31)),
        digest(edit(pipeline, "calibration", tokens=255)),
        digest(edit(pipeline, "calibration", seed=1)),
    ]
    assert len(set(changed)) == len(changed)


def test_what_only_measures_it_or_where_files_lie_does_not(pipeline: Pipeline) -> None:
    assert digest(pipeline) == digest(edit(pipeline, "gate", max_mean_kl=9.0))
    assert digest(pipeline) == digest(edit(pipeline, "gate", samples=15))
    assert digest(pipeline) == digest(pipeline.model_copy(update={"channel": "candidate"}))


def test_a_setting_spelled_out_at_its_default_is_the_same_artifact(pipeline: Pipeline) -> None:
    plain = pipeline.model_copy(update={"recipe": Recipe(precision=Precision.GPTQ_W4A16)})
    spelled = engine_of(plain, plain.all_recipes[0]).recipe
    assert len(spelled) > 4
    assert digest(plain) == digest(pipeline.model_copy(update={"recipe": Recipe.model_validate(spelled)}))


def test_what_needs_no_text_has_the_same_fingerprint_with_any(pipeline: Pipeline) -> None:
    plain = pipeline.model_copy(update={"recipe": Recipe(precision=Precision.BF16)})
    assert digest(plain) == digest(plain, calibration=Dataset((), "d"))


def test_questions_of_an_own_task_change_what_the_gate_measures(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("task: own\ndataset_kwargs: {data_files: questions.jsonl}\n")
    asked = edit(pipeline, "gate", tasks=Tasks(names=[str(tmp_path / "own.yaml"), "arc_easy"]))

    def now() -> str:
        return Inputs(asked, None, "abc", Dataset((), "c"), Dataset((), "h"), ()).gate_digest  # type: ignore[arg-type]

    digests = []
    for questions in ("{}", "{ }"):
        (tmp_path / "questions.jsonl").write_text(questions)
        digests += [now(), now()]
    assert digests[0] == digests[1] != digests[2] == digests[3]


def test_a_recipe_that_calibrates_without_text_is_refused_by_field(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        "apiVersion: shipfit/v1\nkind: Pipeline\nname: x\nsource: bundled:gemma-3-270m\n"
        "recipe: {precision: gptq-w4a16}\ngate: {dataset: [bundled:alice29]}\n"
    )
    with pytest.raises(
        InputError, match=r"calibration: is missing, and llm-compressor calibrates for gptq-w4a16"
    ):
        resolve(load(path, Pipeline), NoProgress())


def test_the_preflight_comes_before_a_folder_is_read_whole(tmp_path: Path) -> None:
    """A source of 140 GB takes minutes to read, and a wrong setting shows in its config.json."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(CONFIG))
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        "apiVersion: shipfit/v1\nkind: Pipeline\nname: x\nsource: ./model\n"
        "recipe: {precision: mxfp4}\ngate: {dataset: [gone.txt], tokens: 256}\n"
    )
    progress = Told()
    with pytest.raises(InputError, match=r"yaml:6: gate.tokens: is 256, and ./model holds 128 tokens"):
        resolve(load(path, Pipeline), progress)
    path.write_text(path.read_text().replace("256", "64").replace("gone", "held-out"))
    (tmp_path / "held-out.txt").write_text("words " * 10_000)
    assert progress.steps == []
    resolve(load(path, Pipeline), progress)
    assert progress.steps == ["reading model"]


def test_limits_measure_nothing(pipeline: Pipeline) -> None:
    def gate(**settings: Any) -> str:
        asked = edit(pipeline, "gate", generation=Generation(**settings))
        return Inputs(asked, None, "abc", Dataset((), "c"), Dataset((), "h"), ()).gate_digest  # type: ignore[arg-type]

    assert gate() == gate(max_faulty=3, min_greedy_agreement=0.5)
    assert gate() != gate(tokens=8)


def test_a_source_without_a_tokenizer_is_refused_before_any_work(tmp_path: Path) -> None:
    model, path = tmp_path / "model", tmp_path / "pipeline.yaml"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "held-out.txt").write_text("words " * 10_000)
    path.write_text(
        "apiVersion: shipfit/v1\nkind: Pipeline\nname: x\nsource: ./model\n"
        "recipe: {precision: mxfp4}\ngate: {dataset: [held-out.txt], tokens: 64}\n"
    )
    inputs = resolve(load(path, Pipeline), NoProgress())
    with pytest.raises(
        InputError, match=r"yaml:4: source: ./model has no tokenizer \(tokenizer.json, .*; put its"
    ):
        inputs.source(NoProgress())
    (model / "tokenizer.json").write_text("{}")
    assert model == inputs.source(NoProgress())


class Told(NoProgress):
    """Remembers what was begun."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.steps.append(title)
        yield
