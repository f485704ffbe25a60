"""Choosing among options: the first level with one that holds the promise, and of that level the cheapest.

Options of a level are tried in the order of the least that they can cost; once one holds the promise, those that
cannot be cheaper are put aside unexamined. So a plan over twenty kinds of GPU costs no more than a few dozen sizings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from shipfit.sizing.planning.examine import examine
from shipfit.sizing.planning.options import Level, Option
from shipfit.sizing.planning.task import Task, Verdict


@dataclass(frozen=True)
class Choice:
    """The best option of the first level that has one.

    Attributes:
        chosen: it; None where nothing holds the promise.
        others: every other option that was looked at, each with the reason against it.
    """

    chosen: Verdict | None
    others: list[Verdict] = field(default_factory=list)


def choose(task: Task, levels: Iterable[Level]) -> Choice:
    """The cheapest option of the first level that holds the promise.

    Args:
        task: what is to be planned.
        levels: in the order of the rule.
    """
    others: list[Verdict] = []
    for level in levels:
        best, rest = cheapest(task, level)
        others += rest
        if best:
            return Choice(best, others)
    return Choice(None, others)


def cheapest(task: Task, level: Level) -> tuple[Verdict | None, list[Verdict]]:
    """The cheapest option of a level that holds the promise, and the others with the reason against each."""
    deployment = task.deployment
    options = level.options(task.pools, across=deployment.across_machines, replicas=deployment.replicas)
    least = deployment.replicas or 1
    best: Verdict | None = None
    held: list[Verdict] = []
    refused: list[Verdict] = []
    for option in sorted(options, key=lambda each: _rank(task, each, least)):
        if best and _rank(task, option, least) > _rank(task, best.option, best.replicas):
            held.append(Verdict(option, least, None))
            continue
        verdict = examine(task, option)
        (held if verdict.holds else refused).append(verdict)
        if verdict.holds:
            known = [best, verdict] if best else [verdict]
            best = min(known, key=lambda each: _rank(task, each.option, each.replicas))
    if best is None:
        return None, refused
    dearer = [
        replace(each, refusal=_dearer(task, each, best), dearer=True)
        for each in held
        if each.option is not best.option
    ]
    return best, [*refused, *dearer]


def _rank(task: Task, option: Option, replicas: int) -> tuple[float, ...]:
    """Cheapest first; then the simplest: fewer GPUs, fewer replicas, tensor before pipeline parallelism."""
    cost = round(task.cost(option, replicas), 6)
    return cost, option.units * replicas, replicas, option.pipeline, option.order


def _dearer(task: Task, verdict: Verdict, best: Verdict) -> str:
    """Why an option that holds the promise, or was not examined, is not the cheapest."""
    own = task.cost(verdict.option, verdict.replicas)
    chosen = task.cost(best.option, best.replicas)
    least = "" if verdict.sizing else "at least "
    if own > chosen:
        return f"takes {least}{task.cost_text(own)}, and {best.name} holds the promise for {task.cost_text(chosen)}"
    return f"takes {least}{task.cost_text(own)} too, and {best.name} is simpler"
