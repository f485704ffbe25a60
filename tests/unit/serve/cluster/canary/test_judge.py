from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.serve.cluster.canary.figures import Requests, Seen
from shipfit.serve.cluster.canary.judge import NOISE, chance, hopeless, judge
from shipfit.spec import Slo

FAST = {"ttft": 200.0, "tpot": 20.0, "e2e": 900.0}
SLO = Slo(ttft_p95_ms=500, tpot_p95_ms=50, error_rate=0.01)


@st.composite
def requests(draw: st.DrawFn, most: int = 5000) -> Requests:
    total = draw(st.integers(0, most))
    return Requests(total, draw(st.integers(0, total)))


def seen(failed: int, of: int, stable_failed: int = 0, stable: int = 9000, **p95_ms: float) -> Seen:
    return Seen(Requests(stable, stable_failed), Requests(of, failed), FAST | p95_ms)


@pytest.mark.parametrize(
    ("figures", "state", "why"),
    [
        (seen(0, 1000), "good", []),
        (seen(9, 1000), "bad", ["failed: 9 of 1000"]),  # within the SLO, and clearly worse than the other
        (seen(9, 1000, 80), "good", []),
        (seen(12, 1000, 110), "bad", ["failed: 12 of 1000 requests, 1.20% (promised 1.00%; 110 of 9000"]),
        (seen(0, 1000, ttft=501), "bad", ["first token: 501 ms, 95th percentile (promised 500)"]),
        (seen(0, 1000, tpot=51), "bad", ["each further token: 51 ms"]),
        (seen(0, 1000, e2e=99_999), "good", []),  # nobody promised that
        (seen(0, 49), "unknown", ["it got 49 requests, and 50 are needed"]),
        (
            seen(0, 49, ttft=501),
            "unknown",
            ["it got 49 requests"],
        ),  # its slowest two, of a cold start perhaps
        (seen(40, 49), "bad", ["failed: 40 of 49"]),  # too few to praise, enough to blame
        (seen(0, 0, stable=0), "unknown", ["it got 0 requests"]),
        (Seen(Requests(900, 0), Requests(100, 0), {"tpot": 20}), "unknown", ["no first token was measured"]),
    ],
)
def test_a_canary_is_judged_by_its_slo_and_by_the_other_version(
    figures: Seen, state: str, why: list[str]
) -> None:
    verdict = judge(figures, SLO, 50)
    assert state == verdict.state
    assert len(why) == len(verdict.why)
    assert all(line.startswith(begin) for line, begin in zip(verdict.why, why, strict=True))


def test_it_must_not_be_worse_than_the_other_version_whatever_is_allowed() -> None:
    lax = Slo(error_rate=0.1)
    assert "good" == judge(seen(1, 1000), lax, 50).state
    assert "good" == judge(seen(30, 1000, 270), lax, 50).state
    assert "bad" == judge(seen(30, 1000, 27), lax, 50).state


def test_it_ends_early_only_where_nothing_can_help_any_more() -> None:
    assert hopeless(seen(8, 10), SLO)
    assert not hopeless(seen(1, 10), SLO)  # 1 of 1000 would be good
    assert hopeless(seen(1, 10), Slo())  # none may fail
    assert not hopeless(seen(0, 10), Slo())


@given(requests(), requests())
def test_chance_is_a_chance_and_more_failures_are_less_likely(one: Requests, other: Requests) -> None:
    assert 0 <= chance(one, other) <= 1
    assert pytest.approx(1) == chance(Requests(one.total, 0), other)
    if 0 < one.failed and one.failed + other.failed < one.total + other.total:
        fewer = chance(Requests(one.total, one.failed - 1), Requests(other.total, other.failed))
        assert chance(one, other) <= fewer + 1e-9


def test_chance_is_fishers() -> None:
    # 10 of 100 against 0 of 900: 100! 990! / (90! 1000!)
    product = 1.0
    for each in range(10):
        product *= (100 - each) / (1000 - each)
    assert pytest.approx(product) == chance(Requests(100, 10), Requests(900, 0))


def test_few_good_canaries_go_back() -> None:
    rng = random.Random(7)

    def drawn(total: int) -> Requests:
        return Requests(total, sum(rng.random() < 0.02 for _ in range(total)))

    looks = [Seen(drawn(900), drawn(100), FAST) for _ in range(1000)]
    assert sum(hopeless(each, SLO) for each in looks) <= 5 * NOISE * 1000
