"""The page of every precision: what makes it stale, and what it says of rows made up for the purpose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest

from scripts.precisions.measure import measure
from scripts.precisions.page import page
from scripts.precisions.plot import loss_against_size
from scripts.precisions.rows import PIPELINES, Answer, Refusal, Row, Run, digest, stale
from shipfit.artifacts import Store
from shipfit.core.progress import NoProgress
from shipfit.environments import Accelerator
from shipfit.spec import Pipeline, load

NAME = "gemma-3-270m-gptq-w4a16"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of a real pipeline."""
    path = tmp_path / f"{NAME}.yaml"
    path.write_text((PIPELINES / path.name).read_text())
    return path


def row(file: Path | None = None, precision: str = "gptq-w4a16", **changed: Any) -> Row:
    values: dict[str, Any] = {
        "digest": digest(load(file, Pipeline)) if file else "d",
        "fingerprint": "f",
        "engine": "llm-compressor 0.13.0",
        "recipe": {
            "precision": precision,
            "engine": "llm-compressor",
            "group_size": 128,
            "ignore": ["lm_head"],
        },
        "calibration": (32, 256),
        "quantize_s": 74.2,
        "run": Run(seconds=150.0, cores=2, load=(0.5, 2.25)),
        "source_bytes": 536_000_000,
        "weight_bytes": 387_000_000,
        "figures": {"mean_kl": 0.1607, "p99_kl": 1.068, "top1_agreement": 0.767, "perplexity_ratio": 1.16},
        "intervals": {"mean_kl": (0.149, 0.174)},
        "failures": (),
        "answer": Answer(engine="vLLM 0.32.0", prompt="Water boils at", text=" 100 <b>|\ndegrees"),
        "planned": None,
    }
    return Row(**values | changed)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("awq-w4a16-autoawq", "source: autoawq does not know gemma3_text, "),
        ("gptq-w4a16-auto-gptq", "recipe.engine: auto-gptq quantizes on cuda alone, "),
    ],
)
def test_what_is_refused_before_any_work_is_told_in_the_words_of_the_check(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipfit.quantize.engines.local_accelerator", lambda: Accelerator.CPU)
    file = PIPELINES / f"gemma-3-270m-{name}.yaml"
    told = measure(file, None, cast("Store", None), NoProgress())
    assert isinstance(told, Refusal)
    assert re.match(rf"{re.escape(file.name)}:\d+: {words}", told.refusal)
    assert [] == list(stale([file], {file.stem: told}))
    assert f"| [{name}](../pipelines/{file.name}) | {file.name}:" in page({NAME: row()}, {file.stem: told})


def test_limits_may_move_and_recipes_may_not(file: Path) -> None:
    rows = {NAME: row(file)}
    text = file.read_text()
    assert "max_mean_kl: " in text
    file.write_text("".join(line for line in text.splitlines(True) if "max_mean_kl" not in line))
    assert [] == list(stale([file], rows))
    for old, new in (
        ("group_size: 128", "group_size: 64"),
        ("samples: 32", "samples: 16"),
        ("samples: 16", "samples: 8"),
    ):
        assert old in text
        file.write_text(text.replace(old, new, 1))
        assert [f"{NAME}.yaml says something else than what was measured"] == list(stale([file], rows))


def test_files_and_rows_belong_together(file: Path) -> None:
    assert [f"{NAME}.yaml was not measured"] == list(stale([file], {}))
    assert [f"there is no {NAME}.yaml any more"] == list(stale([], {NAME: row(file)}))


def test_the_page_has_figures_with_intervals_and_answers_in_one_cell() -> None:
    text = page({NAME: row(), "gemma-3-270m-bf16": row(precision="bf16", run=None)}, {})
    lines = [line for line in text.splitlines() if line.startswith("| [")]
    assert ["| [bf16]", "| [gptq-w4a16]"] == [line.partition("(")[0] for line in lines]
    assert (
        "| 74 s | 0.5, 2.2 | 387 MB | 0.1607 (0.1490 to 0.1740) | 1.068 | 76.7% | 1.160 | vLLM 0.32.0 |"
        in lines[1]
    )
    assert lines[1].endswith("| 100 &lt;b>\\| degrees |")
    assert "| 74 s | - |" in lines[0]
    assert "llm-compressor 0.13.0, group_size 128, 32 x 256 |" in lines[0]
    assert "1 runs timed below took 2 minutes together on 2 cores" in text


def test_what_vllm_refuses_stands_beside_the_plan() -> None:
    stand_in = Answer(engine="transformers 5", prompt="p", text="t", refused="vLLM 0.32.0: no kernel")
    refused = row(precision="nvfp4", answer=stand_in, planned="vLLM has no kernel for nvfp4")
    rows = {NAME: row(), "gemma-3-270m-nvfp4": refused}
    assert "| nvfp4 | vLLM 0.32.0: no kernel | vLLM has no kernel for nvfp4 |" in page(rows, {})
    assert "The plan refuses exactly what the engines refuse." in page(rows, {})
    rows[NAME] = row(planned="no")
    text = page(rows, {})
    assert "The plan is wrong about gptq-w4a16." in text
    assert "| gptq-w4a16 | serves it | no |" in text


def test_what_the_gate_refused_says_why() -> None:
    failed = row(
        precision="fp16", figures={}, intervals={}, failures=("mean_kl nan", "more"), answer=Answer()
    )
    (line,) = [
        each for each in page({"gemma-3-270m-fp16": failed}, {}).splitlines() if each.startswith("| [")
    ]
    assert line.endswith("| not a number | - | not published: mean_kl nan; more |")


def test_the_plot_has_a_dot_for_each_artifact_that_loses_something() -> None:
    lossless = row(precision="bf16", figures=row().figures | {"mean_kl": 0.0})
    tree = ET.fromstring(loss_against_size({NAME: row(), "gemma-3-270m-bf16": lossless}))  # noqa: S314 - our own
    texts = [each.text for each in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "gptq-w4a16" in texts
    assert "bf16" not in texts
