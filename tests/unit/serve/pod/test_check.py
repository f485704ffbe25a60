from __future__ import annotations

from typing import Any

import pytest

from shipfit.core.errors import VerdictError
from shipfit.serve.pod.check import Answer, answer_of, judge, percentile


def token(text: str) -> dict[str, Any]:
    return {"choices": [{"text": text}]}


def usage(tokens: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"completion_tokens": tokens}}


def test_the_first_token_is_timed_apart_and_the_others_by_their_count() -> None:
    events = [(5.0, token("")), (100.0, token("a")), (300.0, token("b c")), (301.0, usage(5))]
    assert Answer(tokens=5, ttft_ms=100, tpot_ms=50) == answer_of(events)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [(1.0, token("a"))],  # no usage: the end is missing
        [(1.0, usage(0))],
        [(1.0, token("a")), (2.0, {"error": {"message": "engine died"}})],
    ],
)
def test_an_answer_that_broke_off_is_none(events: list[tuple[float, dict[str, Any]]]) -> None:
    with pytest.raises(VerdictError, match="broke off"):
        answer_of(events)


def test_the_percentile_is_a_value_that_was_seen() -> None:
    assert 8 == percentile([float(number) for number in range(1, 9)])
    assert 19 == percentile([float(number) for number in range(20, 0, -1)])


def test_the_figures_are_judged_by_what_was_promised() -> None:
    answers = [Answer(32, 100.0, 20.0), Answer(32, 300.0, 10.0)]
    assert judge(answers, 300, None) == (
        "2 answers; 95th percentile: first token 300 ms (promised 300), each further token 20 ms"
    )
    with pytest.raises(VerdictError, match=r"too slow: each further token: 2 answers; .* 20 ms .promised 19"):
        judge(answers, 300, 19)
