"""Robust least squares with priors, in a few lines of plain Python: enough for some forty parameters.

Levenberg-Marquardt (Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963) on residuals
whose weight falls once they exceed 1 (Huber, "Robust estimation of a location parameter", 1964).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_STEP = 1e-4
_ENOUGH = 1e-4


def minimize(
    residuals: Callable[[Sequence[float]], list[float]], start: Sequence[float], rounds: int
) -> list[float]:
    """The parameters whose residuals' squares, and own squares, add up to the least.

    Args:
        residuals: of parameters, each divided by its standard error.
        start: parameters to begin with, in standard deviations of their priors, whose middle is 0.
        rounds: at most so many steps.
    """
    at = list(start)
    values = residuals(at)
    cost, damping = _cost(values, at), 1e-2
    moving: Sequence[int] = range(len(at))
    for _ in range(rounds):
        slopes = _slopes(residuals, at, values, moving)
        moving = sorted({number for row in slopes for number in row})  # the others never matter
        weights = [1 / max(1.0, abs(value)) for value in values]
        matrix, vector = _normal(slopes, values, weights, at)
        improved = False
        while not improved and damping < 1e6:
            step = _solve([[*row] for row in matrix], vector, damping)
            tried = [old + change for old, change in zip(at, step, strict=True)]
            tried_values = residuals(tried)
            tried_cost = _cost(tried_values, tried)
            improved = tried_cost < cost
            damping = damping / 5 if improved else damping * 5
        if not improved:
            break
        gain, at, values, cost = 1 - tried_cost / cost, tried, tried_values, tried_cost
        if gain < _ENOUGH:
            break
    return at


def _cost(values: Sequence[float], at: Sequence[float]) -> float:
    return sum(value * value if abs(value) < 1 else 2 * abs(value) - 1 for value in values) + sum(
        each * each for each in at
    )


def _slopes(
    residuals: Callable[[Sequence[float]], list[float]],
    at: Sequence[float],
    values: Sequence[float],
    moving: Sequence[int],
) -> list[dict[int, float]]:
    """By residual, how it changes with each parameter that it depends on."""
    slopes: list[dict[int, float]] = [{} for _ in values]
    for number in moving:
        moved = [*at]
        moved[number] += _STEP
        for row, (new, old) in enumerate(zip(residuals(moved), values, strict=True)):
            if new != old:
                slopes[row][number] = (new - old) / _STEP
    return slopes


def _normal(
    slopes: Sequence[dict[int, float]],
    values: Sequence[float],
    weights: Sequence[float],
    at: Sequence[float],
) -> tuple[list[list[float]], list[float]]:
    """The normal equations; each prior is a residual of its own, the parameter itself."""
    size = len(at)
    matrix = [[float(row == column) for column in range(size)] for row in range(size)]
    vector = [-each for each in at]
    for row, value, weight in zip(slopes, values, weights, strict=True):
        for one, slope in row.items():
            vector[one] -= weight * slope * value
            line = matrix[one]
            for other, another in row.items():
                line[other] += weight * slope * another
    return matrix, vector


def _solve(matrix: list[list[float]], vector: Sequence[float], damping: float) -> list[float]:
    """Gauss's elimination of a positive definite system, its diagonal raised by a share."""
    size = len(vector)
    right = [*vector]
    for row in range(size):
        matrix[row][row] *= 1 + damping
    for pivot in range(size):
        for row in range(pivot + 1, size):
            factor = matrix[row][pivot] / matrix[pivot][pivot]
            if factor:
                right[row] -= factor * right[pivot]
                line, above = matrix[row], matrix[pivot]
                for column in range(pivot, size):
                    line[column] -= factor * above[column]
    for row in reversed(range(size)):
        known = sum(matrix[row][column] * right[column] for column in range(row + 1, size))
        right[row] = (right[row] - known) / matrix[row][row]
    return right
