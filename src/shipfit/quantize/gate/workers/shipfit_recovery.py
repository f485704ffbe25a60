"""How much of its source's scores an artifact keeps.

The recovery of a task is the artifact's score divided by the source's (Kurtic et al., arXiv:2411.02355, section 3), and
the figure is its mean over the tasks. A task on which the source itself is not clearly better than chance is left out:
whatever the artifact scores there says nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RESAMPLES = 2000
"""Enough for bounds that are steady to a few percent of the interval's width."""

LEVEL = 0.95
"""Confidence of an interval."""

CLEARLY = 2.0
"""Standard errors by which the source must be better than chance."""


@dataclass(frozen=True)
class Scores:
    """One task.

    Attributes:
        source, artifact: scores of the same questions, in the same order.
        chance: the score of a model that guesses.
    """

    source: Sequence[float]
    artifact: Sequence[float]
    chance: float

    @property
    def tells(self) -> bool:
        """Whether the source knows anything that could be lost."""
        mean, count = _mean(self.source), len(self.source)
        spread = math.sqrt(_mean([(score - mean) ** 2 for score in self.source]) / count)
        return mean > 0 and mean > self.chance + CLEARLY * spread


def recovery(tasks: Mapping[str, Scores], seed: int) -> dict[str, Any]:
    """The figure, its interval and a table; no figure, and why, where no task tells anything.

    Raises:
        ValueError: a task's questions are not the same for both models.
    """
    details: dict[str, Any] = {"tasks": {name: _row(scores) for name, scores in tasks.items()}}
    telling = [scores for scores in tasks.values() if scores.tells]
    if not telling:
        details["skipped"] = f"the source is no better than chance on {', '.join(tasks)}"
        return {"figures": {}, "intervals": {}, "details": details}
    interval = _interval(telling, seed)
    return {
        "figures": {"recovery": _mean([_mean(one.artifact) / _mean(one.source) for one in telling])},
        "intervals": {"recovery": interval} if interval else {},
        "details": details,
    }


def _row(scores: Scores) -> dict[str, Any]:
    source, artifact = _mean(scores.source), _mean(scores.artifact)
    pairs = list(zip(scores.source, scores.artifact, strict=True))
    return {
        "questions": len(pairs),
        "source": source,
        "artifact": artifact,
        "chance": scores.chance,
        "recovery": artifact / source if scores.tells else None,
        "lost": sum(was > now for was, now in pairs),
        "won": sum(was < now for was, now in pairs),
    }


def _interval(tasks: Sequence[Scores], seed: int) -> tuple[float, float] | None:
    """A percentile bootstrap over each task's questions, the same ones for both models.

    None where the source may have no score at all: a quotient then has no bounds.
    """
    choice = random.Random(seed)  # noqa: S311 - resampling, not a secret
    drawn = []
    for _ in range(RESAMPLES):
        ratios = []
        for task in tasks:
            places = choice.choices(range(len(task.source)), k=len(task.source))
            before = sum(task.source[place] for place in places)
            if not before:
                return None
            ratios.append(sum(task.artifact[place] for place in places) / before)
        drawn.append(_mean(ratios))
    drawn.sort()
    outside, last = (1 - LEVEL) / 2, RESAMPLES - 1
    return drawn[math.floor(outside * last)], drawn[math.ceil((1 - outside) * last)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
