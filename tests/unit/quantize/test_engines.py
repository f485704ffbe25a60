"""Engines: found by their folders, and what a recipe asks of one that does not make it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.environments import Accelerator, declarations, pinned_version
from shipfit.quantize.engines import engine_of, engines
from shipfit.spec import Pipeline, load
from shipfit.spec.precision import Precision

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: x
source: bundled:gemma-3-270m
recipe:
{recipe}
calibration:
  dataset: [a.txt]
gate:
  dataset: [b.txt]
"""


def made(folder: Path, recipe: str) -> Pipeline:
    path = folder / "pipeline.yaml"
    path.write_text(_SPEC.format(recipe="\n".join(f"  {line}" for line in recipe.split("; "))))
    return load(path, Pipeline)


def settled(folder: Path, recipe: str) -> dict[str, object]:
    pipeline = made(folder, recipe)
    return engine_of(pipeline, pipeline.all_recipes[0]).recipe


def test_every_declared_engine_has_a_worker_an_environment_and_a_version() -> None:
    for name, declared in engines().items():
        assert (declared.environment or name) in declarations(), name
        assert (declared.measured_in or declared.environment or name) in declarations(), name
        if declared.package:
            assert pinned_version(declared.package), name


def test_every_precision_is_made_by_an_engine_that_is_kept() -> None:
    kept = {
        each for declared in engines().values() if not declared.deprecated for each in declared.precisions
    }
    assert set(Precision) - kept == {Precision.BNB_NF4}  # vLLM makes it itself, as it loads a model


def test_a_deprecated_engine_names_one_that_makes_the_same() -> None:
    for name, declared in engines().items():
        if declared.deprecated:
            successor = engines()[declared.deprecated.successor]
            assert not successor.deprecated, name
            assert set(declared.precisions) <= set(successor.precisions), name


def test_settings_that_are_left_out_are_the_engines(tmp_path: Path) -> None:
    recipe = settled(tmp_path, "precision: gptq-w4a16")
    assert (recipe["engine"], recipe["group_size"], recipe["symmetric"]) == ("llm-compressor", 128, True)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (
            "precision: gguf-q8_0; engine: llm-compressor",
            r"pipeline.yaml:6: recipe.precision: llm-compressor does not make gguf-q8_0; these make it: llama.cpp",
        ),
        (
            "precision: gptq-w4a16; engine: gptk",
            r"pipeline.yaml:7: recipe.engine: no engine is called gptk; there are: ",
        ),
        (
            "precision: gptq-w4a16; smoothing: 0.5",
            r"pipeline.yaml:7: recipe.smoothing: llm-compressor knows no smoothing for gptq-w4a16; take it out",
        ),
        ("precision: bnb-nf4", r"pipeline.yaml:6: recipe.precision: no engine makes bnb-nf4"),
    ],
)
def test_what_no_engine_makes_is_one_line(tmp_path: Path, recipe: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        settled(tmp_path, recipe)


@pytest.mark.parametrize(
    ("recipe", "calibrates"),
    [
        ("precision: gptq-w4a16", True),
        ("precision: mxfp4", False),
        ("precision: fp8-w8a8", False),
        ("precision: fp8-w8a8; activation_scales: static", True),
        ("precision: int8-w8a16; rounding: gptq", True),
    ],
)
def test_text_is_asked_for_only_where_the_settings_need_it(
    tmp_path: Path, recipe: str, calibrates: bool
) -> None:
    pipeline = made(tmp_path, recipe)
    assert calibrates == engine_of(pipeline, pipeline.all_recipes[0]).calibrates


@pytest.mark.parametrize(
    ("here", "recipe", "expected"),
    [
        (Accelerator.CPU, "precision: gguf-q4_k_m", Accelerator.CPU),
        (Accelerator.CUDA, "precision: gguf-q4_k_m", Accelerator.CPU),
        (Accelerator.CPU, "precision: gptq-w4a16", Accelerator.CPU),
        (Accelerator.CUDA, "precision: gptq-w4a16", Accelerator.CUDA),
        (Accelerator.CUDA, "precision: gptq-w4a16; engine: auto-gptq", Accelerator.CUDA),
    ],
)
def test_an_engine_takes_a_gpu_where_it_can_use_one(
    here: Accelerator, recipe: str, expected: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipfit.quantize.engines.local_accelerator", lambda: here)
    pipeline = made(tmp_path, recipe)
    assert expected is engine_of(pipeline, pipeline.all_recipes[0]).accelerator


def test_an_engine_that_needs_a_gpu_names_what_makes_the_same_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipfit.quantize.engines.local_accelerator", lambda: Accelerator.CPU)
    pipeline = made(tmp_path, "precision: gptq-w4a16; engine: auto-gptq")
    with pytest.raises(
        InputError, match=r"auto-gptq quantizes on cuda alone, .*; use gptqmodel, which makes"
    ):
        engine_of(pipeline, pipeline.all_recipes[0])
