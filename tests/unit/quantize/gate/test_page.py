"""The gate's page."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.artifacts import ManifestDraft
from shipfit.quantize.gate import Evidence, decide, merge, to_result
from shipfit.quantize.gate.page import render, write_page
from shipfit.quantize.gate.plots import bar, strip

LIMITS = {
    "max_faults": 0.0,
    "max_structure_faults": 0.0,
    "max_mean_kl": 0.1,
    "max_p99_kl": 0.6,
    "min_top1_agreement": 0.85,
    "max_perplexity_ratio": 1.1,
    "max_faulty": 0.0,
}


class Outline(HTMLParser):
    """Checks that every tag is closed in order; collects the text and what would be fetched."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()
        assert [] == self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def draft(evidence: Evidence, *, passed: bool, **more: Any) -> ManifestDraft:
    return ManifestDraft.model_validate(
        {
            "name": "a-pipeline",
            "fingerprint": "f" * 64,
            "source": {"model": "acme/model", "revision": "r" * 40},
            "recipe": {
                "precision": "gptq-w4a16",
                "engine": "llm-compressor",
                "group_size": 128,
                "ignore": ["lm_head"],
            },
            "engine": {"name": "llm-compressor", "version": "0.13.0", "lock_sha256": "a" * 64},
            "dataset": {"calibration_sha256": "b" * 64, "gate_sha256": "c" * 64},
            "gate": to_result(evidence, LIMITS, passed=passed),
            "source_bytes": 1_000_000_000,
            **more,
        }
    )


def shown(answers: dict[str, Any], **more: Any) -> Outline:
    evidence = merge(answers)
    verdict = decide(evidence, LIMITS)
    return Outline(render(draft(evidence, passed=verdict.passed, **more), verdict))


@pytest.fixture
def answered(answers: dict[str, Any]) -> dict[str, Any]:
    """With what it answers in the serving engine."""
    answers["generation"] = {
        "figures": {"faulty": 0, "greedy_agreement": 0.5},
        "details": {
            "answers": [
                {
                    "prompt": "Water boils at",
                    "source": " 100 <b>degrees</b>",
                    "artifact": " 212 degrees",
                    "faults": [],
                }
            ],
            "versions": {"vllm": "0.32.0"},
        },
    }
    return answers


def test_the_page_holds_what_was_measured_and_needs_nothing_else(answered: dict[str, Any]) -> None:
    page = shown(answered)
    assert [] == page.fetched
    assert "script" not in page.tags
    for text in (
        "Passed the gate",
        "None of 7 limits was missed",
        "acme/model in gptq-w4a16, by llm-compressor 0.13.0",
        "0.04 to 0.06",
        "at most 0.1",
        "88.0% to 92.0%",
        "50.0%",  # of the source's bytes
        "100 <b>degrees</b>",  # as text
        "212 degrees",
        "None in 126 quantized layers",
        "489 tensors in 1 file",
        "p99_kl 0.5 is within max_p99_kl 0.6, though its 95% interval 0.3 to 0.7 reaches across",
        "vllm 0.32.0",
        "8 windows of 256 tokens, seed 0",
        "f" * 64,
    ):
        assert text in " ".join(page.text.split())
    assert 4 + 2 == page.tags.count("svg")  # a bar a figure with an interval, and two plots


def test_benchmarks_are_shown_by_task(answers: dict[str, Any]) -> None:
    row = {
        "questions": 200,
        "source": 0.52,
        "artifact": 0.5,
        "chance": 0.25,
        "recovery": 0.96,
        "lost": 9,
        "won": 5,
    }
    answers["tasks"] = {
        "figures": {"recovery": 0.96},
        "details": {
            "tasks": {
                "arc_easy": {**row, "metric": "acc"},
                "guess": {**row, "metric": "acc", "recovery": None},
            }
        },
    }
    text = " ".join(shown(answers).text.split())
    assert "arc_easy acc 200 25.0% 52.0% 50.0% 9 / 5 96.0%" in text
    assert "9 / 5 no better than chance" in text


def test_a_failure_is_at_the_top_with_the_layers_and_the_faulty_answer(answered: dict[str, Any]) -> None:
    answered["generation"]["figures"]["faulty"] = 1
    answered["generation"]["details"]["answers"][0]["faults"] = ["repeats itself"]
    answered["quantize"]["faults"] = [
        {"kind": "rounded", "layer": "layers.3.down_proj", "detail": "no inverse"}
    ]
    text = " ".join(shown(answered).text.split())
    assert "Failed the gate" in text
    assert "faulty 1 misses max_faulty 0 by 1" in text
    assert "✕ repeats itself" in text
    assert "rounded layers.3.down_proj no inverse" in text


def test_what_could_not_be_measured_is_told_apart_from_what_was_forgotten(answers: dict[str, Any]) -> None:
    assert "not measured at most 0 ✕ missed" in " ".join(shown(answers).text.split())
    answers["generation"] = {"details": {"skipped": "vLLM has no kernel for it here"}}
    text = " ".join(shown(answers).text.split())
    assert "not measured at most 0 –" in text
    assert "No generation: vLLM has no kernel for it here." in text


def test_a_broken_artifact_has_a_page(answers: dict[str, Any]) -> None:
    del answers["distribution"]
    answers["structure"] = {
        "figures": {"structure_faults": 1},
        "details": {
            "faults": [{"kind": "missing", "tensor": "model.norm.weight", "detail": "is in the source"}]
        },
    }
    text = " ".join(shown(answers).text.split())
    assert "missing model.norm.weight is in the source" in text
    assert "Window by window" not in text


def test_a_choice_out_of_several_is_shown_whole(answers: dict[str, Any]) -> None:
    rows = [
        {
            "recipe": "awq-w4a16",
            "chosen": True,
            "weight_bytes": 2**30,
            "figures": {"mean_kl": 0.05},
            "reason": "chosen",
        },
        {
            "recipe": "nvfp4",
            "chosen": False,
            "weight_bytes": 0,
            "figures": {},
            "reason": "cannot be served there",
        },
    ]
    text = " ".join(shown(answers, choice=rows).text.split())
    assert "Chosen out of 2 recipes" in text
    assert "nvfp4 – – – – cannot be served there" in text


def test_figures_that_are_no_numbers_are_shown_as_that(answers: dict[str, Any]) -> None:
    answers["distribution"]["figures"].update(mean_kl=math.nan, perplexity_ratio=math.inf)
    answers["distribution"]["intervals"] = {}
    answers["distribution"]["details"]["windows"][0]["mean_kl"] = math.nan
    text = shown(answers).text
    assert "not a number" in text
    assert "infinite" in text


def test_the_page_is_written(good: Evidence, tmp_path: Path) -> None:
    verdict = decide(good, LIMITS)
    write_page(tmp_path / "gate.html", draft(good, passed=False), verdict)
    assert (tmp_path / "gate.html").read_text().startswith("<!doctype html>")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.none() | st.floats(0, 1e6))
def test_every_window_has_its_bar(values: list[float], limit: float | None) -> None:
    plot = strip(values, limit, "a <label>")
    assert len(values) == plot.count("<rect")
    assert "a &lt;label&gt;" in plot
    assert "nan" not in plot


@given(*[st.floats(0, 9)] * 4, st.sampled_from([0.0, 1.0]))
def test_a_bar_stays_in_its_picture(
    low: float, middle: float, high: float, limit: float, lossless: float
) -> None:
    low, middle, high = sorted((low, middle, high))
    drawn = bar(middle, low, high, limit, lossless=lossless)
    places = [float(part.split('"')[0]) for part in drawn.split(' x="')[1:]]
    assert 4 == len(places)
    assert all(-1 <= place <= 100.5 for place in places)


def test_of_what_is_no_number_no_bar_is_drawn() -> None:
    assert "" == bar(math.nan, math.nan, math.nan, 1.0, lossless=0.0)
