from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipfit.artifacts import Channel, open_store
from shipfit.artifacts.manifest import Move
from shipfit.core.errors import EnvironmentFailure, InputError, VerdictError
from shipfit.core.progress import NoProgress
from shipfit.quantize.inputs import resolve
from shipfit.quantize.pipeline import _rolled_back_from, run_pipeline
from shipfit.spec import Pipeline, load
from shipfit.spec.precision import Precision
from tests.unit.tiny_llama import CONFIG

OLD, NEW = "0" * 64, "1" * 64


def channel(*moves: tuple[str, str]) -> Channel:
    made = [Move(action=action, fingerprint=to, at=datetime.now(UTC)) for action, to in moves]  # type: ignore[arg-type]
    return Channel(schema_version=1, name="demo", channel="stable", moves=made)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([("promote", NEW)], False),
        ([("promote", OLD), ("promote", NEW)], False),
        ([("promote", OLD), ("promote", NEW), ("rollback", OLD)], True),
        ([("promote", OLD), ("promote", NEW), ("rollback", OLD), ("promote", NEW)], False),
    ],
)
def test_a_schedule_does_not_put_back_what_was_rolled_back(moves, expected: bool) -> None:
    assert expected is _rolled_back_from(channel(*moves), NEW)


def test_a_source_that_is_not_there_names_the_line_of_the_pipeline(repository: Path, tmp_path: Path) -> None:
    text = (repository / "pipelines" / "gemma-3-270m-gptq-w4a16.yaml").read_text()
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("some words\n" * 10_000)
    text = text.replace("bundled:gemma-3-270m", "bundled:gemma-4")
    text = text.replace("[bundled:lcet10, bundled:plrabn12]", "[a.txt]").replace(
        "[bundled:alice29, bundled:asyoulik]", "[b.txt]"
    )
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"wrong\.yaml:6: source: .*gemma-4"):
        resolve(load(file, Pipeline), NoProgress())


@pytest.fixture
def pipeline(own_folders: Path) -> Pipeline:
    """One that needs no calibration, of a model that nobody could load."""
    for name in ("model", "store"):
        (own_folders / name).mkdir()
    (own_folders / "model" / "config.json").write_text(json.dumps(CONFIG))
    (own_folders / "held-out.txt").write_text("words " * 10_000)
    path = own_folders / "pipeline.yaml"
    path.write_text(
        "apiVersion: shipfit/v1\nkind: Pipeline\nname: x\nsource: ./model\nrecipe: {precision: mxfp4}\n"
        "gate: {dataset: [held-out.txt], samples: 4, tokens: 64, generation: null}\n"
        f"store: {(own_folders / 'store').as_uri()}\n"
    )
    return load(path, Pipeline)


def test_what_is_missing_is_asked_for_elsewhere_by_the_same_names(pipeline: Pipeline) -> None:
    asked: list[Sequence[str]] = []

    def elsewhere(names: Sequence[str]) -> EnvironmentFailure:
        asked.append(names)
        return EnvironmentFailure("the node burnt down")

    other = pipeline.gate.model_copy(update={"samples": 3})
    for each in (pipeline, pipeline, pipeline.model_copy(update={"gate": other})):
        with pytest.raises(EnvironmentFailure, match="the node burnt down"):
            run_pipeline(each, NoProgress(), elsewhere=elsewhere)
    assert asked[0] == asked[1]
    assert asked[0][:1] == asked[2][:1]  # the artifact is the same, and what is measured of it is not
    assert asked[0] != asked[2]


def test_a_good_run_that_recorded_nothing_made_something_else(pipeline: Pipeline) -> None:
    with pytest.raises(EnvironmentFailure, match="recorded nothing of what was asked; let both use the same"):
        run_pipeline(pipeline, NoProgress(), elsewhere=lambda _names: None)


def test_the_verdict_elsewhere_is_the_verdict_here_and_is_not_asked_for_again(
    pipeline: Pipeline, own_folders: Path
) -> None:
    figures = {
        "mean_kl": 9.0,
        "p99_kl": 9.0,
        "top1_agreement": 0.1,
        "perplexity_ratio": 9.0,
        "source_perplexity": 9.0,
        "artifact_perplexity": 81.0,
        "positions": 252.0,
    }
    calls = 0

    def elsewhere(names: Sequence[str]) -> VerdictError:
        nonlocal calls
        calls += 1
        made, measured = names
        with open_store(pipeline.store, NoProgress()) as store:
            upload = store.stage(own_folders / "model", pipeline.name, made, NoProgress()).upload
            key, answers = f"{upload}-{measured[:12]}", {"distribution": {"figures": figures}}
            store.keep_checkpoint(pipeline.name, made, "gate", key, answers)
        return VerdictError("told here too")

    for _ in range(2):
        with pytest.raises(VerdictError, match=r"the gate failed, nothing was published: .*mean_kl"):
            run_pipeline(pipeline, NoProgress(), elsewhere=elsewhere)
    assert calls == 1

    (fingerprint,) = (each.fingerprint for each in resolve(pipeline, NoProgress()).candidates)
    with open_store(pipeline.store, NoProgress()) as store:
        store.stage(own_folders / "model", pipeline.name, fingerprint, NoProgress())
    with pytest.raises(VerdictError):
        run_pipeline(pipeline, NoProgress(), elsewhere=elsewhere)
    assert calls == 2  # what was uploaded since is other files, of which nothing is known


def test_what_failed_elsewhere_does_not_hold_up_what_was_made(pipeline: Pipeline, own_folders: Path) -> None:
    figures = dict.fromkeys(
        ("mean_kl", "p99_kl", "top1_agreement", "source_perplexity", "artifact_perplexity", "positions"), 9.0
    )
    recipes = [pipeline.recipe, pipeline.recipe.model_copy(update={"precision": Precision.FP8_W8A8})]
    search = pipeline.model_copy(update={"recipe": None, "recipes": recipes})

    asked: list[Sequence[str]] = []

    def elsewhere(names: Sequence[str]) -> None:
        asked.append(names)
        if len(asked) > 1:
            return
        made, _, measured = names
        with open_store(pipeline.store, NoProgress()) as store:
            upload = store.stage(own_folders / "model", pipeline.name, made, NoProgress()).upload
            key, answers = f"{upload}-{measured[:12]}", {"distribution": {"figures": figures}}
            store.keep_checkpoint(pipeline.name, made, "gate", key, answers)

    for _ in range(2):  # the second time one is known, and the other fails again
        with pytest.raises(
            VerdictError,
            match=r"none of 2 .*: mxfp4.*: .*mean_kl.*; fp8-w8a8.*: could not be made: the other run",
        ):
            run_pipeline(search, NoProgress(), elsewhere=elsewhere)
    assert [3, 2] == list(map(len, asked))
