"""Of several recipes, the one that loses least of those that may be published."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.choice import Contender, choose, table
from shipfit.quantize.gate import Evidence, Verdict


def contender(
    name: str, loss: float | None, *, passed: bool = True, objection: str | None = None, size: int = 1
) -> Contender:
    evidence = None if loss is None else Evidence({"mean_kl": loss})
    verdict = None if loss is None else Verdict(passed, ("a",), () if passed else ("mean_kl is too large",))
    return Contender(name, name * 64, size, evidence, verdict, objection)


def test_the_one_that_loses_least_is_chosen() -> None:
    few, most = contender("a", 0.1), contender("b", 0.3)
    assert choose([most, few]) is few


def test_what_fails_the_gate_or_does_not_fit_is_not() -> None:
    failed = contender("a", 0.01, passed=False)
    unfit = contender("b", None, objection="cannot be served there: too large")
    good = contender("c", 0.2)
    assert choose([failed, unfit, good]) is good
    assert choose([failed, unfit]) is None
    rows = table([failed, unfit, good], good)
    assert [row["recipe"] for row in rows] == ["c", "a", "b"]
    assert [row["reason"] for row in rows] == [
        "chosen",
        "mean_kl is too large",
        "cannot be served there: too large",
    ]


def test_of_equal_ones_the_smallest() -> None:
    assert choose([contender("a", 0.1, size=2), contender("b", 0.1, size=1)]).label == "b"  # type: ignore[union-attr]


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans(), st.booleans()), max_size=6))
def test_nothing_eligible_loses_less_than_the_chosen(cases: list[tuple[float, bool, bool]]) -> None:
    contenders = [
        contender(chr(97 + n), loss, passed=passed, objection=None if fits else "no")
        for n, (loss, passed, fits) in enumerate(cases)
    ]
    chosen = choose(contenders)
    eligible = [each for each in contenders if each.eligible]
    assert (chosen is None) == (not eligible)
    assert all(chosen.loss <= each.loss for each in eligible if chosen)
