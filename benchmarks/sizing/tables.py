"""The page's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.sizing.explained import explanation
from benchmarks.sizing.goals import TPOT_BAND, Goal
from benchmarks.sizing.rows import Row
from benchmarks.sizing.scores import (
    Figure,
    Label,
    Timed,
    Verdict,
    bias,
    counted,
    grouped,
    mean_error,
    median_error,
)

MISS = {
    "weights": 0.01,
    "KV cache": 0.05,
    "KV tokens": 0.05,
    "concurrency": 0.05,
    "TPOT": TPOT_BAND,
    "TTFT": 0.6,
}
"""From which error on a row of a quantity is listed."""

PROPERTIES: dict[str, Callable[[Label], str]] = {
    "model family": lambda label: label.family,
    "GPU": lambda label: label.gpu,
    "split": lambda label: label.split,
    "precision": lambda label: label.precision,
    "release": lambda label: label.release,
    "engine": lambda label: label.engine,
}
"""What breakdowns go by."""


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the columns after the first are aligned to the right where they hold figures."""
    rows = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(
        [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def goals_table(goals: Iterable[Goal]) -> str:
    """What was promised and what is reached."""
    signs = {True: "yes", False: "**no**", None: "-"}
    return table(
        ("quantity", "goal", "reached", "met", "of rows"),
        ((each.quantity, each.wanted, each.reached, signs[each.met], str(each.rows)) for each in goals),
    )


def memory_breakdown(figures: Sequence[Figure], by: str) -> str:
    """Mean errors by a property of the rows."""
    quantities = ("weights", "activation", "CUDA graphs", "KV cache", "KV tokens", "concurrency")
    return _breakdown(
        figures, by, quantities, lambda chosen: [f"{percent(mean_error(chosen))} ({len(chosen)})"]
    )


def speed_breakdown(figures: Sequence[Figure], by: str) -> str:
    """Median errors by a property of the rows."""
    return _breakdown(
        figures,
        by,
        ("TPOT", "TTFT", "output tokens/s"),
        lambda chosen: [f"{percent(median_error(chosen))} ({len(chosen)}), {signed(bias(chosen))}"],
    )


def _breakdown(
    figures: Sequence[Figure], by: str, quantities: Sequence[str], cells: Callable[[list[Figure]], list[str]]
) -> str:
    chosen = [each for quantity in quantities for each in counted(figures, quantity)]
    lines = []
    for name, group in grouped(chosen, PROPERTIES[by]).items():
        line = [name]
        for quantity in quantities:
            some = counted(group, quantity)
            line += cells(some) if some else ["-"]
        lines.append(line)
    return table((by, *quantities), lines)


def misses(figures: Iterable[Figure], wrong: Iterable[Verdict]) -> str:
    """Rows that are off by more than their quantity's limit, and configurations judged wrongly, with the reason."""
    lines = []
    for verdict in wrong:
        said = "fits" if verdict.fits else "does not fit"
        text = explanation(verdict.label, "verdict") or verdict.reason
        lines.append((*_named(verdict.label), "verdict", said, verdict.outcome, "", text))
    for each in off(figures):
        text = explanation(each.label, each.quantity)
        predicted, measured = amount(each.predicted), amount(each.measured)
        lines.append((*_named(each.label), each.quantity, predicted, measured, signed(each.error), text))
    return table(("row", "model", "where", "quantity", "predicted", "measured", "error", "why"), lines)


def off(figures: Iterable[Figure]) -> list[Figure]:
    """The figures that count and are off by more than their quantity's limit."""
    return [
        each for each in figures if not each.assumed and each.size > MISS.get(each.quantity, float("inf"))
    ]


def by_configuration(figures: Iterable[Figure]) -> str:
    """The errors of many rows: one line for those that differ in nothing but the workload."""
    groups: dict[tuple[str, ...], list[Figure]] = {}
    for each in figures:
        label = each.label
        engine = f"{label.engine} {label.release}"
        key: tuple[str, ...] = (label.model, label.configuration, engine, each.quantity)
        groups.setdefault(key, []).append(each)
    lines = []
    for key, group in sorted(groups.items()):
        errors = sorted(each.error for each in group)
        spread = signed(errors[0]) if len(errors) == 1 else f"{signed(errors[0])} to {signed(errors[-1])}"
        numbers = ", ".join(each.label.number for each in group)
        text = explanation(group[0].label, group[0].quantity)
        lines.append((*key, spread, numbers, text))
    return table(("model", "configuration", "engine", "quantity", "errors", "rows", "why"), lines)


def wrong_pairs(found: Iterable[tuple[Timed, Timed]]) -> str:
    """Pairs whose faster configuration is predicted to be the slower, by what they are pairs of."""
    groups: dict[tuple[str, ...], list[tuple[Timed, Timed]]] = {}
    for fast, slow in found:
        kinds: tuple[str, ...] = (fast.label.model, fast.label.configuration, slow.label.configuration)
        groups.setdefault(kinds, []).append((fast, slow))
    lines = []
    for kinds, group in sorted(groups.items()):
        wrong = [(fast, slow) for fast, slow in group if fast.predicted_s >= slow.predicted_s]
        if wrong:
            apart = median(slow.measured_s / fast.measured_s - 1 for fast, slow in wrong)
            said = median(slow.predicted_s / fast.predicted_s - 1 for fast, slow in wrong)
            lines.append((*kinds, f"{len(wrong)} of {len(group)}", signed(apart), signed(said)))
    return table(("model", "faster", "slower", "wrong", "measured apart", "predicted apart"), lines)


def uncounted(figures: Iterable[Figure]) -> str:
    """Figures that depend on something that the row leaves open."""
    lines = [
        (
            *_named(each.label),
            each.quantity,
            amount(each.predicted),
            amount(each.measured),
            signed(each.error),
            ", ".join(each.assumed),
        )
        for each in figures
        if each.assumed
    ]
    return table(("row", "model", "where", "quantity", "predicted", "measured", "error", "left open"), lines)


def unscored(rows: Iterable[tuple[Row, str]]) -> str:
    """Rows that nothing is predicted for, by reason."""
    reasons: dict[str, list[str]] = {}
    for row, reason in rows:
        reasons.setdefault(reason, []).append(row.number)
    return table(("reason", "rows"), ((reason, ", ".join(numbers)) for reason, numbers in reasons.items()))


def percent(share: float | None) -> str:
    """A share as people read it."""
    if share is None:
        return "-"
    return f"{share:.2%}" if share < 0.02 else f"{share:.1%}"


def signed(share: float | None) -> str:
    """An error with its sign."""
    return "-" if share is None else f"{share:+.1%}"


def amount(value: float) -> str:
    """A figure with at most four digits, in full where it is large."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _named(label: Label) -> tuple[str, str, str]:
    return label.number, label.model, f"{label.configuration}, {label.release}"
