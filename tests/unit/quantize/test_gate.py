"""The gate's decision."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.gate import Figures, decide, figures_of, result
from shipfit.spec import Gate

LIMITS = Gate(
    dataset=["held-out.txt"], max_mean_kl=0.1, max_p99_kl=1, min_top1_agreement=0.85, max_perplexity_ratio=1.1
)
GOOD = Figures(
    positions=1000,
    mean_kl=0.05,
    p99_kl=0.5,
    top1_agreement=0.9,
    source_perplexity=20.0,
    artifact_perplexity=21.0,
    perplexity_ratio=1.05,
)
small = st.floats(0, 5)
figures = st.builds(
    Figures,
    positions=st.integers(1, 10**6),
    mean_kl=small,
    p99_kl=small,
    top1_agreement=st.floats(0, 1),
    source_perplexity=st.floats(1, 100),
    artifact_perplexity=st.floats(1, 100),
    perplexity_ratio=st.floats(0.5, 2),
)


def test_good_figures_pass_with_a_reason_for_every_limit() -> None:
    verdict = decide(GOOD, LIMITS)
    assert verdict.passed
    assert len(verdict.reasons) == 4
    assert verdict.failures == ()


def test_a_failure_names_its_limit_and_by_how_much() -> None:
    bad = Figures(**{**vars(GOOD), "top1_agreement": 0.8, "mean_kl": 0.3})
    assert decide(bad, LIMITS).failures == (
        "mean_kl 0.3 misses max_mean_kl 0.1 by 0.2",
        "top1_agreement 0.8 misses min_top1_agreement 0.85 by 0.05",
    )


@given(figures)
def test_passes_exactly_when_every_limit_holds(measured: Figures) -> None:
    verdict = decide(measured, LIMITS)
    expected = (
        measured.mean_kl <= 0.1
        and measured.p99_kl <= 1
        and measured.top1_agreement >= 0.85
        and measured.perplexity_ratio <= 1.1
    )
    assert verdict.passed is expected
    assert verdict.passed is not bool(verdict.failures)


@given(figures, st.floats(0, 1))
def test_a_better_artifact_never_fails_where_a_worse_one_passes(measured: Figures, share: float) -> None:
    better = Figures(
        **{**vars(measured), "mean_kl": measured.mean_kl * share, "p99_kl": measured.p99_kl * share}
    )
    assert decide(better, LIMITS).passed or not decide(measured, LIMITS).passed


@given(st.sampled_from(["mean_kl", "p99_kl", "top1_agreement", "perplexity_ratio"]))
def test_what_is_not_a_number_fails(name: str) -> None:
    for value in (math.nan, math.inf, -math.inf):
        assert not decide(Figures(**{**vars(GOOD), name: value}), LIMITS).passed


@given(figures)
def test_the_manifest_gives_the_figures_back(measured: Figures) -> None:
    recorded = result(measured, LIMITS)
    assert figures_of(recorded.figures) == measured
    assert recorded.passed is decide(measured, LIMITS).passed
    assert recorded.limits["max_perplexity_ratio"] == 1.1
