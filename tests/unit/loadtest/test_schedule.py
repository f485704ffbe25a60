from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from shipfit.loadtest.schedule import MAX_REQUESTS, arrivals
from shipfit.spec import Workload


def workload(**changes: float) -> Workload:
    return Workload.model_validate(
        {"request_rate": 2, "duration_s": 30, "input_tokens": 8, "output_tokens": 8} | changes
    )


@given(st.floats(0.01, 50), st.floats(0.1, 300), st.integers(0, 2**32))
def test_offers_the_rate_that_was_asked_for_within_the_time(rate: float, duration: float, seed: int) -> None:
    asked = workload(request_rate=rate, duration_s=duration, seed=seed)
    due = arrivals(asked)
    assert max(1, round(rate * duration)) == len(due)
    assert sorted(due) == due
    assert 0 <= due[0]
    assert due[-1] <= duration


def test_the_seed_decides() -> None:
    assert arrivals(workload(seed=1)) == arrivals(workload(seed=1))
    assert arrivals(workload(seed=1)) != arrivals(workload(seed=2))


def test_gaps_are_those_of_a_poisson_process() -> None:
    due = arrivals(workload(request_rate=20, duration_s=500))
    gaps = [after - before for before, after in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert pytest.approx(1 / 20, rel=0.01) == mean
    assert pytest.approx(mean, rel=0.05) == variance**0.5  # of an exponential distribution


def test_a_load_test_is_bounded_in_count() -> None:
    with pytest.raises(InputError, match=f"workload: .* at most {MAX_REQUESTS:,}"):
        arrivals(workload(request_rate=1000, duration_s=60))
