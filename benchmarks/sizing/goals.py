"""The goals, and how far they are reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.sizing.memory import Scored
from benchmarks.sizing.scores import (
    Figure,
    counted,
    mean_error,
    median_error,
    pairs,
    rightly_ordered,
    share_within,
    wrong_fits,
    wrong_refusals,
)
from benchmarks.sizing.speed import ScoredSpeed

WEIGHTS, KV_CACHE, CAPACITY = 0.005, 0.03, 0.04
WRONG_REFUSALS = 0.03
TPOT, TPOT_BAND, TPOT_SHARE, TTFT = 0.12, 0.3, 0.9, 0.2
PAIRS, PAIRS_APART = 0.95, 0.1


@dataclass(frozen=True)
class Goal:
    """One line of the table.

    Attributes:
        quantity: what is predicted.
        wanted: the goal in words.
        reached: the same figure as it is, in words.
        met: whether that is good enough; None where there is nothing to judge by.
        rows: rows, or pairs, that it was computed from.
    """

    quantity: str
    wanted: str
    reached: str
    met: bool | None
    rows: int


def memory_goals(scored: Scored) -> list[Goal]:
    """What is promised of memory."""
    kv_cache = counted(scored.figures, "KV cache")
    tokens, concurrency = counted(scored.figures, "KV tokens"), counted(scored.figures, "concurrency")
    goals = [
        _at_most("weights per GPU", "mean error", WEIGHTS, counted(scored.figures, "weights"), mean_error),
        _at_most("KV cache memory, settings known", "mean error", KV_CACHE, kv_cache, mean_error),
        _at_most("KV tokens", "mean error", CAPACITY, tokens, mean_error),
        _at_most("maximum concurrency", "mean error", CAPACITY, concurrency, mean_error),
    ]
    failed = [each for each in scored.verdicts if not each.served]
    served = [each for each in scored.verdicts if each.served]
    wrong, refused = wrong_fits(scored.verdicts), wrong_refusals(scored.verdicts)
    share = len(refused) / len(served) if served else 0.0
    goals.append(
        Goal(
            "“fits” for what failed",
            "never",
            f"{len(wrong)} of {len(failed)}",
            not wrong if failed else None,
            len(failed),
        )
    )
    goals.append(
        Goal(
            "“does not fit” for what was served",
            f"{WRONG_REFUSALS:.0%} of rows or fewer",
            f"{share:.1%} ({len(refused)} of {len(served)})",
            share <= WRONG_REFUSALS if served else None,
            len(served),
        )
    )
    return goals


def speed_goals(scored: ScoredSpeed, engine: str = "vllm") -> list[Goal]:
    """What is promised of speed, on one engine's rows."""
    figures = [each for each in scored.figures if each.label.engine == engine]
    tpot, ttft = counted(figures, "TPOT"), counted(figures, "TTFT")
    within = share_within(tpot, TPOT_BAND)
    found = pairs((each for each in scored.timed if each.label.engine == engine), PAIRS_APART)
    right = rightly_ordered(found)
    return [
        _at_most("decode TPOT", "median error", TPOT, tpot, median_error),
        Goal(
            f"decode TPOT within {TPOT_BAND:.0%}",
            f"{TPOT_SHARE:.0%} of rows",
            _percent(within),
            None if within is None else within >= TPOT_SHARE,
            len(tpot),
        ),
        _at_most("TTFT", "median error", TTFT, ttft, median_error),
        Goal(
            f"which of two configurations is faster ({PAIRS_APART:.0%} apart or more)",
            f"right in {PAIRS:.0%} of pairs",
            _percent(right),
            None if right is None else right >= PAIRS,
            len(found),
        ),
    ]


def _at_most(
    quantity: str,
    measure: str,
    limit: float,
    figures: Sequence[Figure],
    error: Callable[[Sequence[Figure]], float | None],
) -> Goal:
    reached = error(figures)
    met = None if reached is None else reached <= limit
    return Goal(quantity, f"{measure} {limit:.1%} or less", _percent(reached), met, len(figures))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
