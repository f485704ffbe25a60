"""The gate's decision."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.gate import Evidence, decide, merge

LIMITS = {
    "max_faults": 0.0,
    "max_structure_faults": 0.0,
    "max_mean_kl": 0.1,
    "max_p99_kl": 1.0,
    "min_top1_agreement": 0.85,
    "max_perplexity_ratio": 1.1,
}
FIGURES = {name[4:] for name in LIMITS}
small = st.floats(0, 5)
measured = st.fixed_dictionaries(
    {
        "faults": st.integers(0, 3).map(float),
        "structure_faults": st.just(0.0),
        "mean_kl": small,
        "p99_kl": small,
        "top1_agreement": st.floats(0, 1),
        "perplexity_ratio": st.floats(0.5, 2),
    }
)


def changed(evidence: Evidence, **figures: float) -> Evidence:
    return replace(evidence, figures={**evidence.figures, **figures}, intervals={})


def test_good_figures_pass_with_a_reason_for_every_limit(good: Evidence) -> None:
    verdict = decide(good, LIMITS)
    assert verdict.passed
    assert len(verdict.reasons) == len(LIMITS)
    assert verdict.failures == ()


def test_a_failure_names_its_limit_and_by_how_much(good: Evidence) -> None:
    bad = changed(good, top1_agreement=0.8, mean_kl=0.3)
    assert decide(bad, LIMITS).failures == (
        "mean_kl 0.3 misses max_mean_kl 0.1 by 0.2",
        "top1_agreement 0.8 misses min_top1_agreement 0.85 by 0.05",
    )


@given(measured)
def test_passes_exactly_when_every_limit_holds(figures: dict[str, float]) -> None:
    verdict = decide(Evidence(figures=figures), LIMITS)
    expected = (
        figures["faults"] == 0
        and figures["mean_kl"] <= 0.1
        and figures["p99_kl"] <= 1
        and figures["top1_agreement"] >= 0.85
        and figures["perplexity_ratio"] <= 1.1
    )
    assert verdict.passed is expected
    assert verdict.passed is not bool(verdict.failures)


@given(measured, st.floats(0, 1))
def test_a_better_artifact_never_fails_where_a_worse_one_passes(
    figures: dict[str, float], share: float
) -> None:
    better = {**figures, "mean_kl": figures["mean_kl"] * share, "p99_kl": figures["p99_kl"] * share}
    worse = Evidence(figures=figures)
    assert decide(Evidence(figures=better), LIMITS).passed or not decide(worse, LIMITS).passed


@pytest.mark.parametrize("name", sorted(FIGURES))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_fails(good: Evidence, name: str, value: float) -> None:
    verdict = decide(changed(good, **{name: value}), LIMITS)
    assert not verdict.passed
    assert len(verdict.failures) == 1


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_what_was_not_measured_fails(good: Evidence, name: str) -> None:
    left = {key: value for key, value in good.figures.items() if key != name}
    assert decide(replace(good, figures=left), LIMITS).failures == (f"{name} was not measured",)


def test_what_cannot_be_measured_here_says_why_and_does_not_fail(answers: dict[str, Any]) -> None:
    answers["generation"] = {"details": {"skipped": "vLLM has no kernel for nvfp4 on a processor"}}
    verdict = decide(merge(answers), {**LIMITS, "max_faulty": 0.0})
    assert verdict.passed
    assert verdict.reasons[-1] == ("faulty was not measured: vLLM has no kernel for nvfp4 on a processor")


def test_of_a_broken_artifact_only_the_damage_is_a_failure(answers: dict[str, Any]) -> None:
    answers["structure"] = {
        "figures": {"structure_faults": 2},
        "details": {
            "faults": [
                {"kind": "shape", "tensor": "a.weight_scale", "detail": "is [1], not [2]"},
                {"kind": "missing", "tensor": "b.weight", "detail": "is in the source, [2]"},
            ]
        },
    }
    del answers["distribution"]
    verdict = decide(merge(answers), LIMITS)
    assert verdict.failures == (
        "structure_faults 2 misses max_structure_faults 0 by 2"
        " (1 shape, 1 missing; the first: a.weight_scale, is [1], not [2])",
    )
    assert "mean_kl was not measured: the artifact is not whole" in verdict.reasons


def test_faults_of_the_engine_are_counted_by_kind(answers: dict[str, Any]) -> None:
    answers["quantize"]["faults"] = [
        {"kind": "never-routed", "layer": "layers.0.experts.7", "detail": "no token"},
        {"kind": "rounded", "layer": "layers.1.q_proj", "detail": "fell back"},
        {"kind": "rounded", "layer": "layers.2.q_proj", "detail": "fell back"},
    ]
    evidence = merge(answers)
    assert decide(evidence, LIMITS).failures == (
        "faults 3 misses max_faults 0 by 3 (2 rounded, 1 never-routed; the first: layers.0.experts.7, no token)",
    )
    assert decide(evidence, {**LIMITS, "max_faults": 3.0}).passed


def test_an_interval_that_reaches_across_the_limit_is_said(good: Evidence) -> None:
    verdict = decide(good, {"max_mean_kl": 0.055, "min_top1_agreement": 0.91, "max_p99_kl": 0.7})
    assert verdict.reasons == (
        "mean_kl 0.05 is within max_mean_kl 0.055, though its 95% interval 0.04 to 0.06 reaches across",
        "top1_agreement 0.9 misses min_top1_agreement 0.91 by 0.01,"
        " though its 95% interval 0.88 to 0.92 reaches across",
        "p99_kl 0.5 is within max_p99_kl 0.7",
    )


@pytest.mark.parametrize(("before", "passed"), [(0.04, True), (0.03, False), (0.0, False), (0.06, True)])
def test_worse_than_what_users_have_is_a_failure(good: Evidence, before: float, passed: bool) -> None:
    verdict = decide(good, {"max_regression": 0.25}, changed(good, mean_kl=before))
    assert verdict.passed is passed
    assert len(verdict.reasons) == 1
    assert f"that of the channel's artifact, {before:.4g}" in verdict.reasons[0]


def test_a_regression_is_a_failure_where_the_figure_is_no_number(good: Evidence) -> None:
    assert not decide(changed(good, mean_kl=math.nan), {"max_regression": 9.0}, good).passed


def test_measured_on_other_text_nothing_is_compared(good: Evidence) -> None:
    details = {
        "distribution": {"text": {"documents_sha256": "b" * 64, "samples": 8, "tokens": 256, "seed": 0}}
    }
    previous = Evidence(figures={"mean_kl": 0.001}, details=details)  # type: ignore[arg-type]
    verdict = decide(good, {"max_regression": 0.25}, previous)
    assert verdict.passed
    assert verdict.reasons == (
        "mean_kl was not compared with the channel's artifact: that was measured on other text",
    )


def test_without_a_limit_or_a_previous_artifact_there_is_no_regression(good: Evidence) -> None:
    much_better = changed(good, mean_kl=0.0001)
    assert decide(good, LIMITS, much_better).reasons == decide(good, LIMITS).reasons
    assert decide(good, {"max_regression": 0.25}).reasons == ()
