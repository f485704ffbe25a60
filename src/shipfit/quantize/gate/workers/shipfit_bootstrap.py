"""Confidence intervals by resampling whole documents: positions of one text are no independent observations."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

RESAMPLES = 2000
"""Enough for bounds that are steady to a few percent of the interval's width."""

FEWEST_DOCUMENTS = 10
"""With fewer, windows are resampled: an interval of a handful of clusters is far too narrow."""

LEVEL = 0.95
"""Confidence of an interval."""


@dataclass(frozen=True)
class Scored:
    """One window of held-out text, as both models see it.

    Attributes:
        document: that it was cut from.
        divergences: Kullback-Leibler divergence of every position, in nats.
        agreed: positions at which both models' most likely token is the same.
        source_loss, artifact_loss: negative log-likelihood of the real text, summed over positions, in nats.
    """

    document: str
    divergences: Sequence[float]
    agreed: int
    source_loss: float
    artifact_loss: float


def figures(windows: Sequence[Scored]) -> dict[str, float]:
    """What the gate decides on, over all positions of all windows."""
    return _figures(_sums(windows), _percentile(_sorted(windows), [1] * len(windows)))


def intervals(windows: Sequence[Scored], seed: int) -> tuple[dict[str, tuple[float, float]], str]:
    """Percentile bootstrap intervals of every figure, and what was resampled: ``documents`` or ``windows``.

    Nothing where a figure is not finite, or where there is one window only.
    """
    documents = {window.document for window in windows}
    unit = "documents" if len(documents) >= FEWEST_DOCUMENTS else "windows"
    groups = _groups(windows, unit)
    if len(groups) < 2 or not all(map(math.isfinite, figures(windows).values())):
        return {}, unit
    ordered = _sorted(windows)
    sums = [_sums([windows[index] for index in group]) for group in groups]
    choice = random.Random(seed)  # noqa: S311 - resampling, not a secret
    drawn = [_resampled(groups, sums, ordered, choice) for _ in range(RESAMPLES)]
    return {name: _bounds([sample[name] for sample in drawn]) for name in drawn[0]}, unit


def _groups(windows: Sequence[Scored], unit: str) -> list[list[int]]:
    if unit == "windows":
        return [[index] for index in range(len(windows))]
    groups: dict[str, list[int]] = {}
    for index, window in enumerate(windows):
        groups.setdefault(window.document, []).append(index)
    return list(groups.values())


@dataclass(frozen=True)
class _Sums:
    positions: int
    divergence: float
    agreed: int
    source_loss: float
    artifact_loss: float

    def times(self, count: int) -> _Sums:
        return _Sums(
            self.positions * count,
            self.divergence * count,
            self.agreed * count,
            self.source_loss * count,
            self.artifact_loss * count,
        )


def _add(parts: Sequence[_Sums]) -> _Sums:
    return _Sums(
        sum(part.positions for part in parts),
        math.fsum(part.divergence for part in parts),
        sum(part.agreed for part in parts),
        math.fsum(part.source_loss for part in parts),
        math.fsum(part.artifact_loss for part in parts),
    )


def _sums(windows: Sequence[Scored]) -> _Sums:
    return _add(
        [
            _Sums(
                len(window.divergences),
                math.fsum(window.divergences),
                window.agreed,
                window.source_loss,
                window.artifact_loss,
            )
            for window in windows
        ]
    )


def _figures(sums: _Sums, p99: float) -> dict[str, float]:
    source = _exp(sums.source_loss / sums.positions)
    artifact = _exp(sums.artifact_loss / sums.positions)
    return {
        "mean_kl": sums.divergence / sums.positions,
        "p99_kl": p99,
        "top1_agreement": sums.agreed / sums.positions,
        "source_perplexity": source,
        "artifact_perplexity": artifact,
        "perplexity_ratio": _exp((sums.artifact_loss - sums.source_loss) / sums.positions),
    }


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _sorted(windows: Sequence[Scored]) -> list[tuple[float, int]]:
    """Divergences from the largest down, each with its window; those that are no numbers first."""
    pairs = [(value, index) for index, window in enumerate(windows) for value in window.divergences]
    return sorted(pairs, key=lambda pair: -pair[0] if pair[0] == pair[0] else -math.inf)


def _percentile(ordered: Sequence[tuple[float, int]], counts: Sequence[int]) -> float:
    """The 99th percentile where each window counts so many times: the smallest value that 99% do not exceed."""
    total = sum(counts[index] for _value, index in ordered)
    above = total - max(1, math.ceil(0.99 * total))
    passed = 0
    for value, index in ordered:
        passed += counts[index]
        if passed > above:
            return value
    raise AssertionError("the counts add up to their total")


def _resampled(
    groups: Sequence[Sequence[int]],
    sums: Sequence[_Sums],
    ordered: Sequence[tuple[float, int]],
    choice: random.Random,
) -> dict[str, float]:
    drawn = Counter(choice.choices(range(len(groups)), k=len(groups)))
    counts = [0] * sum(map(len, groups))
    for group, count in drawn.items():
        for index in groups[group]:
            counts[index] = count
    return _figures(
        _add([sums[group].times(count) for group, count in drawn.items()]), _percentile(ordered, counts)
    )


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    ordered, outside = sorted(values), (1 - LEVEL) / 2
    last = len(ordered) - 1
    return ordered[math.floor(outside * last)], ordered[math.ceil((1 - outside) * last)]
