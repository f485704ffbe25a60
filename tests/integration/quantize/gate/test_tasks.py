"""Benchmarks of lm-evaluation-harness on real models, with questions of our own: the last word of a paragraph."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.progress import NoProgress
from shipfit.core.worker import WorkerError, run_worker
from shipfit.environments import ensure
from shipfit.models import bundled
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.gate import WORKERS
from shipfit.quantize.texts import bundled_text

pytestmark = pytest.mark.integration

QUESTIONS = 16

_TASK = """\
task: last_word
dataset_path: json
dataset_kwargs:
  data_files:
    test: {questions}
output_type: loglikelihood
test_split: test
doc_to_text: "{{{{context}}}}"
doc_to_target: "{{{{word}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""

Run = Callable[[dict[str, Any]], tuple[dict[str, Any], list[str]]]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file: paragraphs whose last word has stood in them before, as in LAMBADA."""
    folder = tmp_path_factory.mktemp("task")
    text = bundled_text("alice29", NoProgress()).read_text()
    found = [
        re.match(r"(.{80,400}?)( [a-z]{3,})[.!?]", " ".join(part.split())) for part in text.split("\n\n")
    ]
    rows = [{"context": one[1], "word": one[2]} for one in found if one and one[2] in one[1]]
    questions = folder / "questions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "last_word.yaml"
    path.write_text(_TASK.format(questions=questions.name))  # seen from the task file's folder
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the worker; the answers of the source are kept for the whole module."""
    folder = tmp_path_factory.mktemp("tasks")
    source = bundled.folder("gemma-3-270m", NoProgress())

    def measure(request: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        told: list[str] = []
        common = {"source": str(source), "revision": "r", "baselines": str(folder / "baselines"), "seed": 0}
        result = run_worker(
            ensure("lm-eval").python,
            WORKERS / "tasks.py",
            {"artifact": str(source), **common, **request},
            doing="running the benchmarks",
            log=folder / "tasks.log",
            report=lambda text, _: told.append(text),
            modules=INSIDE,
        )
        return result, told

    return measure


def test_a_model_keeps_all_of_its_own_score(run: Run, task: Path) -> None:
    result, told = run({"tasks": {"names": [str(task)], "limit": QUESTIONS}})
    row = result["details"]["tasks"]["last_word"]
    assert QUESTIONS == row["questions"]
    assert "acc" == row["metric"]
    assert 0.2 < row["source"] < 1
    assert row["source"] == row["artifact"]
    assert {"recovery": 1.0} == result["figures"]
    assert [1.0, 1.0] == result["intervals"]["recovery"]
    assert f"source, request 9 of {QUESTIONS}" in told


def test_a_compressed_artifact_is_read_and_the_source_is_not_asked_again(
    run: Run, task: Path, tiny_mxfp4: Path
) -> None:
    result, told = run({"artifact": str(tiny_mxfp4), "tasks": {"names": [str(task)], "limit": QUESTIONS}})
    assert {"recovery": 0.0} == result["figures"]  # two layers of random weights
    row = result["details"]["tasks"]["last_word"]
    assert round(row["source"] * QUESTIONS) == row["lost"]
    assert not [text for text in told if text.startswith("source")]


def test_an_unknown_task_is_one_line_with_the_nearest_name(run: Run) -> None:
    with pytest.raises(WorkerError) as caught:
        run({"tasks": {"names": ["lambada_openia"], "limit": 1}})
    assert "has no task lambada_openia, and there is no such file" in str(caught.value)
    assert "did you mean lambada_openai" in str(caught.value)
    assert "gate.tasks.names" == caught.value.field


def test_questions_that_are_not_there_are_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lost.yaml"
    path.write_text(_TASK.format(questions=tmp_path / "nowhere.jsonl"))
    with pytest.raises(WorkerError, match=r"the questions of .*lost\.yaml cannot be read: .*nowhere"):
        run({"tasks": {"names": [str(path)], "limit": 1}})


def test_a_gguf_is_not_judged_and_says_why(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    result, _ = run({"artifact": str(tmp_path), "tasks": {"names": ["lambada_openai"], "limit": 1}})
    assert {} == result["figures"]
    assert "the benchmarks read safetensors only" == result["details"]["skipped"]
