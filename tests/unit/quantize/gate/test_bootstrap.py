"""Confidence intervals: they must hold what they promise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.gate.workers import shipfit_bootstrap
from shipfit.quantize.gate.workers.shipfit_bootstrap import Scored, figures, intervals

windows = st.lists(
    st.builds(
        Scored,
        document=st.sampled_from("abcdefghijklmn"),
        divergences=st.lists(st.floats(0, 9), min_size=1, max_size=20),
        agreed=st.just(0),
        source_loss=st.floats(0, 50),
        artifact_loss=st.floats(0, 50),
    ),
    min_size=1,
    max_size=12,
)


def scored(divergences: list[float], document: str = "1:1", agreed: int = 0) -> Scored:
    return Scored(document, divergences, agreed, len(divergences) * 2.0, len(divergences) * 2.1)


def test_figures_are_over_positions_and_not_over_windows() -> None:
    told = figures([scored([0.0], agreed=1), scored([1.0, 2.0, 3.0], agreed=1)])
    assert told == {
        "mean_kl": 1.5,
        "p99_kl": 3.0,
        "top1_agreement": 0.5,
        "source_perplexity": pytest.approx(math.exp(2.0)),
        "artifact_perplexity": pytest.approx(math.exp(2.1)),
        "perplexity_ratio": pytest.approx(math.exp(0.1)),
    }


def test_the_99th_percentile_is_what_99_percent_do_not_exceed() -> None:
    assert figures([scored([float(value) for value in range(1, 101)])])["p99_kl"] == 99.0
    assert figures([scored([float(value) for value in range(1, 1001)])])["p99_kl"] == 990.0
    assert figures([scored([7.0])])["p99_kl"] == 7.0


@given(windows)
def test_the_99th_percentile_is_that_of_the_sorted_values(sample: list[Scored]) -> None:
    values = sorted(value for window in sample for value in window.divergences)
    assert figures(sample)["p99_kl"] == values[math.ceil(0.99 * len(values)) - 1]


def test_what_is_no_number_has_no_interval_and_stays_seen() -> None:
    sample = [scored([0.1, math.nan]), scored([0.2]), scored([0.3])]
    assert math.isnan(figures(sample)["mean_kl"])
    assert math.isnan(figures([scored([math.nan, 1.0])])["p99_kl"])
    assert intervals(sample, 0) == ({}, "windows")


def test_few_documents_resample_windows_and_one_window_nothing() -> None:
    assert intervals([scored([0.1], "1:1"), scored([0.2], "1:2")], 0)[1] == "windows"
    assert intervals([scored([0.1], f"1:{number}") for number in range(10)], 0)[1] == "documents"
    assert intervals([scored([0.1])], 0) == ({}, "windows")


def test_the_same_seed_gives_the_same_interval() -> None:
    sample = [scored([math.sqrt(number), 0.3], f"1:{number}") for number in range(12)]
    assert intervals(sample, 7) == intervals(sample, 7)
    assert intervals(sample, 7) != intervals(sample, 8)


def _population(choice: random.Random, documents: int) -> list[Scored]:
    """Documents that differ from each other, with positions that resemble each other within one."""
    sample = []
    for document in range(documents):
        hardness = choice.lognormvariate(-3, 0.6)
        for _window in range(2):
            divergences = [choice.expovariate(1 / hardness) for _ in range(20)]
            agreed = sum(value < 0.1 for value in divergences)
            sample.append(Scored(str(document), divergences, agreed, 40.0, 40.0 + 20 * hardness))
    return sample


def test_nine_of_ten_intervals_hold_the_truth_and_those_over_positions_would_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shipfit_bootstrap, "RESAMPLES", 200)
    truth = math.exp(-3 + 0.6**2 / 2)
    choice = random.Random(1)
    by_document = by_position = 0
    for trial in range(150):
        sample = _population(choice, 24)
        low, high = intervals(sample, trial)[0]["mean_kl"]
        by_document += low <= truth <= high
        positions = [
            Scored(str(number), [value], 0, 2.0, 2.0)
            for number, value in enumerate(value for window in sample for value in window.divergences)
        ]
        mean = figures(positions)["mean_kl"]
        spread = math.sqrt(
            sum((window.divergences[0] - mean) ** 2 for window in positions)
            / len(positions)
            / (len(positions) - 1)
        )
        by_position += abs(mean - truth) <= 1.96 * spread
    assert by_document / 150 >= 0.86
    assert by_position / 150 < 0.7
