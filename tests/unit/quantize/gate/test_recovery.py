"""Recovery: what is counted, what is left out, how sure it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.gate.workers.shipfit_recovery import Scores, recovery

KNOWS = [1.0] * 30 + [0.0] * 10


def test_it_is_the_mean_over_tasks_of_the_share_kept() -> None:
    result = recovery(
        {"half": Scores(KNOWS, [1.0] * 15 + [0.0] * 25, 0.25), "all": Scores(KNOWS, KNOWS, 0.25)}, seed=0
    )
    assert {"recovery": 0.75} == result["figures"]
    assert {
        "questions": 40,
        "source": 0.75,
        "artifact": 0.375,
        "chance": 0.25,
        "recovery": 0.5,
        "lost": 15,
        "won": 0,
    } == (result["details"]["tasks"]["half"])
    low, high = result["intervals"]["recovery"]
    assert low < 0.75 < high


def test_the_same_answers_leave_no_doubt() -> None:
    result = recovery({"same": Scores(KNOWS, KNOWS, 0.25)}, seed=0)
    assert (1.0, 1.0) == result["intervals"]["recovery"]


def test_a_task_that_the_source_guesses_is_left_out() -> None:
    guessed = Scores([1.0] * 12 + [0.0] * 28, [1.0] * 8 + [0.0] * 32, 0.25)
    result = recovery({"guessed": guessed, "known": Scores(KNOWS, KNOWS, 0.25)}, seed=0)
    assert {"recovery": 1.0} == result["figures"]
    assert result["details"]["tasks"]["guessed"]["recovery"] is None


@pytest.mark.parametrize("source", [[0.0] * 40, [1.0] * 10 + [0.0] * 30])
def test_a_source_that_knows_nothing_gives_no_figure_and_a_reason(source: list[float]) -> None:
    result = recovery({"guessed": Scores(source, KNOWS, 0.25)}, seed=0)
    assert {} == result["figures"]
    assert "the source is no better than chance on guessed" == result["details"]["skipped"]


def test_few_right_answers_give_no_interval() -> None:
    result = recovery({"rare": Scores([1.0] * 5 + [0.0] * 15, [1.0] * 4 + [0.0] * 16, 0.0)}, seed=0)
    assert {"recovery": 0.8} == result["figures"]
    assert {} == result["intervals"]


def test_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        recovery({"other": Scores(KNOWS, KNOWS[:-1], 0.25)}, seed=0)


@given(st.lists(st.booleans(), min_size=20, max_size=60), st.integers(0, 9))
def test_the_interval_holds_the_figure(kept: list[bool], seed: int) -> None:
    result = recovery({"task": Scores([1.0] * len(kept), [float(one) for one in kept], 0.25)}, seed)
    low, high = result["intervals"]["recovery"]
    assert low <= result["figures"]["recovery"] <= high
