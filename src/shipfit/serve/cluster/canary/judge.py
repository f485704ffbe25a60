"""Whether a canary is good: by the share of its requests that failed, and by the deployment's SLO. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from shipfit.serve.cluster.canary.figures import Requests, Seen
from shipfit.spec import Slo

LEAST = 50
"""Requests of a canary that a judgement needs where nobody says: its 95th percentile is then not its slowest one."""

NOISE = 0.001
"""How likely a canary as good as what serves may seem worse at one look. It is looked at again and again, so that about
one good canary in a hundred goes back."""

_LATENCIES = {"ttft": "first token", "tpot": "each further token", "e2e": "whole request"}


@dataclass(frozen=True)
class Verdict:
    """What is to become of a canary.

    Attributes:
        state: ``good``, ``bad``, or ``unknown`` where it was asked too little to say.
        figures: what was measured beside what is allowed, a line each.
        why: the lines that speak against it, or say what is missing.
    """

    state: Literal["good", "bad", "unknown"]
    figures: list[str]
    why: list[str]


def judge(seen: Seen, slo: Slo, needed: int) -> Verdict:
    """Judge a canary that was watched to the end.

    Args:
        slo: what the deployment promises.
        needed: requests without which nothing is said for it, nor of its latencies.
    """
    failures, worse = _failures(seen, slo), _fails_more(seen)
    figures, missing = [failures], list[str]()
    against = [failures] if worse or seen.canary.share > slo.error_rate else []
    for name, text in _LATENCIES.items():
        limit: float | None = getattr(slo, f"{name}_p95_ms")
        measured = seen.p95_ms.get(name)
        if measured is None:
            missing += [f"no {text} was measured"] if limit else []
            continue
        line = f"{text}: {measured:.0f} ms, 95th percentile" + (f" (promised {limit:g})" if limit else "")
        figures.append(line)
        against += [line] if limit and measured > limit and seen.canary.total >= needed else []
    if seen.canary.total < needed:
        missing.insert(0, f"it got {seen.canary.total} requests, and {needed} are needed to judge it")
    if against:
        return Verdict("bad", figures, against)
    return Verdict("unknown" if missing else "good", figures, missing)


def hopeless(seen: Seen, slo: Slo) -> bool:
    """Whether a canary is bad already, whatever comes: then it does not take requests any longer."""
    return _fails_more(seen) or (slo.error_rate == 0 and seen.canary.failed > 0)


def chance(one: Requests, other: Requests) -> float:
    """How likely at least so many failures would fall to one, if both failed alike: Fisher's exact test, one-sided.

    https://doi.org/10.2307/2340521: so many failures drawn from all requests, hypergeometric.
    """
    failed, total = one.failed + other.failed, one.total + other.total
    most = min(failed, one.total)
    ways = (
        _log_ways(one.total, each) + _log_ways(other.total, failed - each)
        for each in range(one.failed, most + 1)
        if failed - each <= other.total
    )
    return min(1.0, math.fsum(math.exp(each - _log_ways(total, failed)) for each in ways))


def _log_ways(of: int, take: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(take + 1) - math.lgamma(of - take + 1)


def _fails_more(seen: Seen) -> bool:
    return seen.canary.share > seen.stable.share and chance(seen.canary, seen.stable) < NOISE


def _failures(seen: Seen, slo: Slo) -> str:
    stable = seen.stable
    return (
        f"failed: {seen.canary.failed} of {seen.canary.total} requests, {seen.canary.share:.2%}"
        f" (promised {slo.error_rate:.2%}; {stable.failed} of {stable.total} beside it, {stable.share:.2%})"
    )
