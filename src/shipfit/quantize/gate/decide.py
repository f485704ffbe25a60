"""The gate's decision: figures against limits, and against the artifact that users have now."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shipfit.quantize.gate.evidence import Evidence

_MEASURED_BY = {
    "structure_faults": "structure",
    "recovery": "tasks",
    "faulty": "generation",
    "greedy_agreement": "generation",
}
"""Which measurement gives a figure, where it is not ``distribution``."""


@dataclass(frozen=True)
class Verdict:
    """What the gate decides.

    Attributes:
        passed: whether every limit holds.
        reasons: a line for each limit: what was measured, what was asked.
        failures: those of the reasons for which it did not pass.
    """

    passed: bool
    reasons: tuple[str, ...]
    failures: tuple[str, ...]


def decide(evidence: Evidence, limits: Mapping[str, float], previous: Evidence | None = None) -> Verdict:
    """Hold an artifact to its limits.

    Args:
        evidence: all that was measured of it.
        limits: by name: ``max_`` or ``min_`` and the figure; ``max_regression`` as in the spec.
        previous: of the artifact that the channel points to now, if there is one.

    A figure that is not a number, or was not measured without a reason being given, fails.
    """
    judged = [
        *(_held(evidence, name, limit) for name, limit in limits.items() if name != "max_regression"),
        *_regression(evidence, limits.get("max_regression"), previous),
    ]
    reasons = tuple(reason for reason, _kept in judged)
    failures = tuple(reason for reason, kept in judged if not kept)
    return Verdict(not failures, reasons, failures)


def _held(evidence: Evidence, name: str, limit: float) -> tuple[str, bool]:
    """A line on one limit, and whether it is kept."""
    sense, figure = name[:3], name[4:]
    measured = evidence.figures.get(figure)
    if measured is None:
        why = _why_not(evidence, figure)
        return (f"{figure} was not measured: {why}", True) if why else (f"{figure} was not measured", False)
    kept = math.isfinite(measured) and (measured <= limit if sense == "max" else measured >= limit)
    line = (
        f"{figure} {measured:.4g} is within {name} {limit:.4g}"
        if kept
        else f"{figure} {measured:.4g} misses {name} {limit:.4g} by {abs(measured - limit):.4g}"
    )
    return line + _named(evidence, figure) + _straddling(evidence, figure, limit), kept


def _why_not(evidence: Evidence, figure: str) -> str | None:
    """The reason that a figure is missing for; it is told, and no failure of its own."""
    if evidence.figures.get("structure_faults", 0) > 0:
        return "the artifact is not whole"
    return evidence.skipped.get(_MEASURED_BY.get(figure, "distribution"))


def _named(evidence: Evidence, figure: str) -> str:
    """What the faults are, by kind, and the first of them."""
    faults, at = {
        "faults": (evidence.faults, "layer"),
        "structure_faults": (evidence.structure_faults, "tensor"),
    }.get(figure, ([], ""))
    if not faults:
        return ""
    kinds = Counter(str(fault.get("kind")) for fault in faults)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f" ({counted}; the first: {faults[0].get(at)}, {faults[0].get('detail')})"


def _straddling(evidence: Evidence, figure: str, limit: float) -> str:
    """Said where more text could turn the verdict."""
    low, high = evidence.intervals.get(figure, (limit, limit))
    return f", though its 95% interval {low:.4g} to {high:.4g} reaches across" if low < limit < high else ""


def _regression(
    evidence: Evidence, limit: float | None, previous: Evidence | None
) -> Iterator[tuple[str, bool]]:
    """Compare with the channel's artifact, where that was measured on the same text."""
    now = evidence.figures.get("mean_kl")
    if limit is None or previous is None or now is None:
        return
    before = previous.figures.get("mean_kl")
    if before is None or previous.text is None or evidence.text != previous.text:
        yield "mean_kl was not compared with the channel's artifact: that was measured on other text", True
        return
    allowed = before * (1 + limit)
    kept = math.isfinite(now) and now <= allowed
    yield (
        f"mean_kl {now:.4g} {'is within' if kept else 'exceeds'} that of the channel's artifact, {before:.4g},"
        f" with max_regression {limit:.4g}",
        kept,
    )
