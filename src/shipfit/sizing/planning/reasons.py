"""Why a plan is what it is: the reasons for what was chosen, and the first against everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from shipfit.core.errors import VerdictError
from shipfit.models import ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing.planning.choose import Choice, cheapest
from shipfit.sizing.planning.options import Level, Option
from shipfit.sizing.planning.plan import Quality, Rejected
from shipfit.sizing.planning.task import Task, Verdict


def why(task: Task, chosen: Verdict, by_rule: Verdict | None) -> list[str]:
    """The reasons for an option.

    Args:
        task: what was planned.
        chosen: the option.
        by_rule: what the rule would choose where the user has pinned nothing; None: nothing.
    """
    option, deployment = chosen.option, task.deployment
    if deployment.precision is None:
        first = f"{option.precision} is the least aggressive precision that holds the promise on the hardware at hand"
    elif by_rule is None:
        first = f"{option.scheme.name} is pinned; the rule finds none that holds the promise"
    elif by_rule.option.scheme is option.scheme:
        first = f"{option.scheme.name} is pinned, and the rule chooses it too"
    else:
        first = f"{option.scheme.name} is pinned; the rule would choose {by_rule.name}"
    found = [first]
    if chosen.sizing:
        found.append(chosen.sizing.reasons[0])
    if chosen.replicas > 1:
        fewest = "pinned" if deployment.replicas else "as few as hold the promise"
        found.append(f"{chosen.replicas} replicas: {fewest}")
    if option.machines > 1:
        found.append(
            f"a replica spans {option.machines} machines of {option.units // option.machines} GPUs: "
            f"{option.tensor} of a machine share each layer, and {option.pipeline} stages of layers follow each other"
        )
    if option.kv != "auto" and deployment.kv_cache_dtype is None:
        found.append(
            f"the KV cache is in {option.kv}: nothing at hand holds the promise with the checkpoint's own"
        )
    if task.spare(option):
        found.append(f"{option.place} more are kept free for updates, which the cost includes")
    if chosen.utilization and not deployment.gpu_memory_utilization:
        found.append(f"vLLM may take {chosen.utilization:.0%} of the memory: its own default is not enough")
    return [*found, *_doubts(task.facts)]


def _doubts(facts: ModelFacts) -> Iterator[str]:
    """What of the model was not read."""
    if not facts.stored_read:
        yield "weights are derived from the configuration; the checkpoint was not read"
    if not facts.checked:
        yield f"the dimensions of {facts.name} are {facts.source}"


def quality(scheme: Scheme) -> Quality | None:
    """What a precision is known to lose against 16 bits; None where nothing was published."""
    known = scheme.quality
    if known is None:
        return None
    return Quality(loss=f"{known.loss_percent:g}%: {known.of}", measured=False, source=known.source)


def rejected(task: Task, choice: Choice, levels: Sequence[Level]) -> list[Rejected]:
    """Every option that was not chosen, with the first reason against it.

    Splits of a kind of GPU that fail for the same reason are one line, and so are kinds of GPU.

    Args:
        task: what was planned.
        choice: what came of it.
        levels: all that the rule may choose, in its order.
    """
    found = list(_merged(_telling(choice.others)))
    chosen = choice.chosen
    if chosen is None:
        return found
    for level in _after(levels, chosen.option, pinned=task.deployment.precision is not None):
        name = " or ".join(scheme.name for scheme in level.schemes)
        found.append(Rejected(option=name, reason=_passed_over(task, chosen, level), precision=name))
    return found


def _after(levels: Sequence[Level], chosen: Option, *, pinned: bool) -> list[Level]:
    """The levels that were not tried, one a precision: those after the chosen one, or all others where it is pinned.

    Of a precision's KV formats the chosen one's, where it has that.
    """
    kinds = list(dict.fromkeys(level.schemes for level in levels))
    own = next((number for number, schemes in enumerate(kinds) if chosen.scheme in schemes), -1)
    left = [*kinds[:own], *kinds[own + 1 :]] if pinned and own >= 0 else kinds[own + 1 :]
    return [
        min((level for level in levels if level.schemes == schemes), key=lambda level: level.kv != chosen.kv)
        for schemes in left
    ]


def _passed_over(task: Task, chosen: Verdict, level: Level) -> str:
    """Why a level after the chosen one was not needed, and what it would have been on the same kind of GPU."""
    if pinned := task.deployment.precision:
        return f"deployment.precision pins {pinned}"
    first = f"{chosen.option.precision} comes before it and holds the promise"
    best, refused = cheapest(replace(task, pools=[chosen.option.pool]), level)
    if best:
        cost = task.cost_text(task.cost(best.option, best.replicas))
        return f"{first}; it would on {best.place}, for {cost}"
    nearest = _nearest(refused)
    return f"{first}; it would not: {nearest.refusal}" if nearest.possible else nearest.refusal or first


def _telling(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Without those that say of another KV format what was said already: what it does not change."""
    known = set()
    found = []
    for each in verdicts:
        option = each.option
        said = (option.scheme.name, option.pool.gpu.name, option.tensor, option.pipeline, each.refusal)
        if said not in known:
            found.append(each)
        known.add(said)
    return found


def _merged(verdicts: Sequence[Verdict]) -> Iterator[Rejected]:
    """One line each; one for all where a precision, or its splits on a kind of GPU, have the same reason.

    Of the splits on a kind of GPU the one that came nearest is first.
    """
    for precision, of_it in _grouped(verdicts, lambda each: each.option.precision).items():
        if reason := _same(of_it):
            yield Rejected(option=precision, reason=reason, precision=precision)
            continue
        for gpu, on_it in _grouped(of_it, lambda each: each.option.pool.gpu.name).items():
            if reason := _same(on_it):
                yield Rejected(option=f"{precision} on {gpu}", reason=reason, precision=precision, gpu=gpu)
                continue
            for each in sorted(on_it, key=_distance):
                name, reason = each.name, each.refusal or ""
                yield Rejected(option=name, reason=reason, precision=precision, gpu=gpu)


def _grouped(verdicts: Sequence[Verdict], name: Callable[[Verdict], str]) -> dict[str, list[Verdict]]:
    groups: dict[str, list[Verdict]] = {}
    for each in verdicts:
        groups.setdefault(name(each), []).append(each)
    return groups


def _same(verdicts: Sequence[Verdict]) -> str | None:
    """The reason that several have in common; None where they differ, or there is one alone."""
    found = {each.refusal for each in verdicts}
    return found.pop() if len(verdicts) > 1 and len(found) == 1 else None


def nothing(task: Task, refused: Sequence[Verdict]) -> VerdictError:
    """Nothing holds the promise: the option of each precision that comes nearest, with the reason against it."""
    nearest = map(_nearest, _grouped(refused, lambda each: each.option.scheme.name).values())
    lines = "; ".join(f"{each.name}: {each.refusal}" for each in nearest)
    promise = task.deployment.promise
    return VerdictError(
        f"nothing at hand serves {task.deployment.model} with {promise.concurrency} requests of "
        f"{promise.context:,} tokens at once: {lines}",
        hint="name more or larger GPUs under hardware, or lower promise.context or promise.concurrency",
    )


def _nearest(refused: Sequence[Verdict]) -> Verdict:
    return min(refused, key=_distance)


def _distance(verdict: Verdict) -> tuple[float, ...]:
    """How far an option was from being chosen: too dear, too slow, short of memory, of GPUs, else impossible."""
    option, taken = verdict.option, verdict.option.units * verdict.replicas
    if verdict.dearer:
        return 0, taken
    if verdict.sizing and verdict.sizing.fits:
        return 1, -taken
    if verdict.sizing:
        return 2, -verdict.sizing.max_concurrency * verdict.replicas, -verdict.sizing.kv_cache_gib
    if taken > option.pool.count:
        return 4, taken
    return (3, -option.units) if verdict.possible else (5, -option.units)
