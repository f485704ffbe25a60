from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from scripts.least_squares import minimize

PLACES = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def decay(at: Sequence[float], place: float) -> float:
    return math.exp(at[0]) * math.exp(-math.exp(at[1]) * place)


def test_parameters_are_found_where_the_figures_came_from() -> None:
    truth = [0.5, -1.0]
    measured = [decay(truth, place) for place in PLACES]

    def residuals(at: Sequence[float]) -> list[float]:
        pairs = zip(PLACES, measured, strict=True)
        return [math.log(decay(at, place) / value) / 0.001 for place, value in pairs]

    assert truth == pytest.approx(minimize(residuals, [0.0, 0.0], 50), abs=1e-3)


def test_one_wild_figure_hardly_moves_the_rest() -> None:
    figures = [1.0] * 20 + [1000.0]
    found = minimize(lambda at: [(at[0] - figure) / 0.1 for figure in figures], [0.0], 50)
    assert 1 == pytest.approx(found[0], abs=0.05)


def test_without_figures_a_parameter_stays_at_its_priors_middle() -> None:
    found = minimize(lambda at: [(at[0] - 2) / 0.01], [0.0, 0.0], 50)
    assert [2, 0] == pytest.approx(found, abs=0.01)


def test_the_prior_holds_against_one_weak_figure() -> None:
    assert 1 == pytest.approx(minimize(lambda at: [(at[0] - 2) / 1], [0.0], 50)[0], abs=0.01)
