from __future__ import annotations

import statistics as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.loadtest import statistics
from shipfit.loadtest.records import RequestRecord
from shipfit.spec import Slo, Workload

WORKLOAD = Workload(request_rate=1, duration_s=10, input_tokens=8, output_tokens=5)
NUMBERS = st.lists(st.floats(0, 1e6), min_size=2, max_size=200)


def record(
    due: float, *, lag: float = 0.0, ttft: float = 0.5, tpot: float = 0.1, tokens: int = 5
) -> RequestRecord:
    last = due + ttft + (tokens - 1) * tpot
    return RequestRecord(
        scheduled_s=due,
        start_s=due + lag,
        first_token_s=due + ttft,
        last_token_s=last,
        end_s=last,
        input_tokens=8,
        output_tokens=tokens,
    )


def failure(due: float, kind: str = "http-500") -> RequestRecord:
    return RequestRecord(
        scheduled_s=due, start_s=due, end_s=due + 0.1, error=kind, detail=f"{kind} at {due:g}"
    )


@given(NUMBERS)
def test_percentiles_are_those_of_the_standard_library(values: list[float]) -> None:
    cuts = standard.quantiles(values, n=100, method="inclusive")
    for percent in (50, 90, 95, 99):
        expected = pytest.approx(cuts[percent - 1], rel=1e-9, abs=1e-9)
        assert expected == statistics.percentile(values, percent / 100)


@given(NUMBERS)
def test_a_distribution_is_in_order(values: list[float]) -> None:
    figure = statistics.distribution(values)
    assert figure is not None
    ordered = [figure.p50, figure.p90, figure.p95, figure.p99, figure.max]
    assert ordered == sorted(ordered)
    assert len(values) == figure.count


def test_nothing_has_no_percentile() -> None:
    assert statistics.distribution([None, None]) is None
    with pytest.raises(ValueError, match="no values"):
        statistics.percentile([], 0.5)


def test_latency_counts_from_when_a_request_was_due() -> None:
    figures = statistics.latency([record(3.0, lag=0.4, ttft=0.5, tpot=0.1), failure(4.0)])
    assert figures.ttft_ms is not None
    assert figures.tpot_ms is not None
    assert figures.e2e_ms is not None
    assert pytest.approx(500) == figures.ttft_ms.p50
    assert pytest.approx(100) == figures.tpot_ms.p50
    assert pytest.approx(900) == figures.e2e_ms.p50
    assert 1 == figures.e2e_ms.count


def test_an_answer_of_one_token_has_no_time_per_token() -> None:
    assert statistics.latency([record(0, tokens=1)]).tpot_ms is None


def test_throughput_counts_what_succeeded_over_the_whole_time() -> None:
    rates = statistics.throughput([record(0), record(1), failure(2), record(9.9)], WORKLOAD)
    assert pytest.approx((0.4, 0.4)) == (rates.requested_rate, rates.achieved_rate)
    whole = 9.9 + 0.9
    assert pytest.approx(15 / whole) == rates.output_tokens_per_s
    assert pytest.approx(3 / whole) == rates.answered_per_s


def test_peak_in_flight() -> None:
    assert 2 == statistics.peak_in_flight([record(0), record(0.5), record(1.2)])
    assert 0 == statistics.peak_in_flight([])


def test_errors_are_counted_by_kind_with_the_first_as_example() -> None:
    counted = statistics.errors([failure(1, "timeout"), failure(2), failure(3), record(4)])
    assert [("http-500", 2, "http-500 at 2"), ("timeout", 1, "timeout at 1")] == [
        (error.kind, error.count, error.example) for error in counted
    ]


@pytest.mark.parametrize(
    ("records", "cpu_share", "problem"),
    [
        ([record(due, lag=0.003) for due in range(10)], 0.2, None),
        ([record(due, lag=0.003) for due in range(10)], None, None),
        ([record(due, lag=0.3) for due in range(10)], 0.2, "sent up to 300 ms late (limit 100 ms)"),
        ([record(due, lag=0.003) for due in range(10)], 0.97, "97% of a core"),
        (
            [*(record(due) for due in range(9)), RequestRecord(scheduled_s=9, error="unfinished")],
            0.1,
            "1 of 10",
        ),
        (
            [record(due, lag=3.0, ttft=40) for due in range(10)],
            0.1,
            "0.83 requests/s were sent in place of 1.00",
        ),
    ],
)
def test_a_client_that_does_not_keep_up_is_found_out(
    records: list[RequestRecord], cpu_share: float | None, problem: str | None
) -> None:
    rates = statistics.throughput(records, WORKLOAD)
    health = statistics.client_health(records, rates, statistics.latency(records).ttft_ms, cpu_share)
    assert (problem is None) == health.healthy
    if problem:
        assert problem in "; ".join(health.problems)


def test_each_limit_of_the_slo_is_judged_and_no_other() -> None:
    slo = Slo(ttft_p95_ms=500, e2e_p95_ms=800, error_rate=0.25)
    verdict = statistics.judge(slo, statistics.latency([record(due) for due in range(5)]), 0.25)
    assert [("ttft_p95_ms", True), ("e2e_p95_ms", False), ("error_rate", True)] == [
        (check.name, check.passed) for check in verdict.checks
    ]
    assert not verdict.passed


def test_no_answer_keeps_no_promise() -> None:
    verdict = statistics.judge(Slo(ttft_p95_ms=500, error_rate=1), statistics.latency([failure(0)]), 1.0)
    assert [(None, False), (1.0, True)] == [(check.measured, check.passed) for check in verdict.checks]


@pytest.mark.parametrize(
    ("count", "failed", "expected"),
    [(10, 0, ["95th percentile"]), (50, 0, ["99th percentile"]), (100, 0, []), (100, 2, ["succeeded"])],
)
def test_too_few_requests_for_a_percentile_is_said(count: int, failed: int, expected: list[str]) -> None:
    notes = statistics.caveats(statistics.latency([record(due) for due in range(count)]), failed)
    assert len(expected) == len(notes)
    assert all(part in note for part, note in zip(expected, notes, strict=True))
