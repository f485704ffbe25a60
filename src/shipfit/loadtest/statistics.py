"""Figures of a load test from its records. Values in, values out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from shipfit.loadtest.records import RequestRecord
from shipfit.loadtest.report import (
    Check,
    ClientHealth,
    Distribution,
    ErrorCount,
    Latency,
    Throughput,
    Verdict,
)
from shipfit.spec.deployment import Slo, Workload

LAG_FLOOR_MS = 50.0
"""Lag of this size is never held against the client: opening a connection on a busy machine takes as much."""

LAG_SHARE = 0.2
"""Lag is part of every latency, as that is counted from the due time, so it never flatters the server; above this
share of the 95th percentile of the first token it would blame the server for what is the client's own."""

CPU_LIMIT = 0.9
"""A process of one event loop that takes more of a core than this has no time left to look at its sockets."""

RATE_FLOOR = 0.95
"""Least share of the requested rate that must have been sent."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie.

    Interpolated linearly between the two nearest values: type 7 of Hyndman and Fan, "Sample Quantiles in Statistical
    Packages", The American Statistician 50 (1996).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def distribution(values: Iterable[float | None]) -> Distribution | None:
    """The distribution of the values that are there; None if none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Distribution(
        count=len(known),
        mean=math.fsum(known) / len(known),
        p50=percentile(known, 0.50),
        p90=percentile(known, 0.90),
        p95=percentile(known, 0.95),
        p99=percentile(known, 0.99),
        max=max(known),
    )


def latency(records: Sequence[RequestRecord]) -> Latency:
    """Latencies of the requests that succeeded, in milliseconds."""
    good = [record for record in records if record.succeeded]
    return Latency(
        ttft_ms=distribution(record.ttft_ms for record in good),
        tpot_ms=distribution(record.tpot_ms for record in good),
        e2e_ms=distribution(record.e2e_ms for record in good),
    )


def throughput(records: Sequence[RequestRecord], workload: Workload) -> Throughput:
    """Rates, in requests and tokens a second."""
    starts = [record.start_s for record in records if record.start_s is not None]
    ends = [record.end_s for record in records if record.end_s is not None]
    good = [record for record in records if record.succeeded]
    sending_s = max([workload.duration_s, *starts])
    whole_s = max([workload.duration_s, *ends])
    return Throughput(
        requested_rate=len(records) / workload.duration_s,
        achieved_rate=len(starts) / sending_s,
        answered_per_s=len(good) / whole_s,
        output_tokens_per_s=sum(record.output_tokens or 0 for record in good) / whole_s,
        peak_in_flight=peak_in_flight(records),
    )


def peak_in_flight(records: Iterable[RequestRecord]) -> int:
    """Most requests that had begun and not ended at one moment."""
    changes: list[tuple[float, int]] = []
    for record in records:
        if record.start_s is not None and record.end_s is not None:
            changes += [(record.start_s, 1), (record.end_s, -1)]
    running = peak = 0
    for _moment, change in sorted(changes):
        running += change
        peak = max(peak, running)
    return peak


def errors(records: Iterable[RequestRecord]) -> list[ErrorCount]:
    """Failures by kind, the most frequent first."""
    failed = [record for record in records if not record.succeeded]
    counts = Counter(str(record.error) for record in failed)
    examples = {str(record.error): record.detail or "" for record in reversed(failed)}
    return [
        ErrorCount(kind=kind, count=count, example=examples[kind]) for kind, count in counts.most_common()
    ]


def client_health(
    records: Sequence[RequestRecord], rates: Throughput, ttft: Distribution | None, cpu_share: float | None
) -> ClientHealth:
    """Whether the client kept up: it sent all, when due, and had processor time left.

    Args:
        ttft: of the successful requests; None if none succeeded.
        cpu_share: what its busiest process took of a core; None if unknown.
    """
    lag = distribution(record.lag_ms for record in records)
    limit = max(LAG_FLOOR_MS, LAG_SHARE * ttft.p95 if ttft else 0.0)
    unsent = sum(record.start_s is None for record in records)
    problems = []
    if lag and lag.p95 > limit:
        problems.append(f"95% of requests were sent up to {lag.p95:.0f} ms late (limit {limit:.0f} ms)")
    if unsent:
        problems.append(f"{unsent} of {len(records)} requests were never sent")
    if rates.achieved_rate < RATE_FLOOR * rates.requested_rate:
        problems.append(
            f"{rates.achieved_rate:.2f} requests/s were sent in place of {rates.requested_rate:.2f}"
        )
    if cpu_share is not None and cpu_share > CPU_LIMIT:
        problems.append(f"its busiest process took {cpu_share:.0%} of a core (limit {CPU_LIMIT:.0%})")
    return ClientHealth(
        healthy=not problems,
        lag_p95_ms=lag.p95 if lag else None,
        lag_limit_ms=limit,
        cpu_share=cpu_share,
        unsent=unsent,
        problems=problems,
    )


def judge(slo: Slo, figures: Latency, error_rate: float) -> Verdict:
    """Hold the figures to each limit that the SLO states.

    Args:
        error_rate: share of requests that failed, 0 to 1.
    """
    limits = (
        ("ttft_p95_ms", slo.ttft_p95_ms, figures.ttft_ms),
        ("tpot_p95_ms", slo.tpot_p95_ms, figures.tpot_ms),
        ("e2e_p95_ms", slo.e2e_p95_ms, figures.e2e_ms),
    )
    checks = [
        Check(
            name=name,
            unit="ms",
            limit=limit,
            measured=measured.p95 if measured else None,
            passed=measured is not None and measured.p95 <= limit,
        )
        for name, limit, measured in limits
        if limit is not None
    ]
    checks.append(
        Check(
            name="error_rate",
            unit="share",
            limit=slo.error_rate,
            measured=error_rate,
            passed=error_rate <= slo.error_rate,
        )
    )
    return Verdict(passed=all(check.passed for check in checks), checks=checks)


def caveats(figures: Latency, failed: int) -> list[str]:
    """What to bear in mind when reading the figures."""
    count = figures.ttft_ms.count if figures.ttft_ms else 0
    notes = []
    for percent, needed in ((95, 20), (99, 100)):
        if count < needed:
            notes.append(
                f"{count} requests succeeded: the {percent}th percentile is little more than the slowest of them; "
                f"{needed} or more are needed for one"
            )
            break
    if failed:
        notes.append(
            "latencies are of the requests that succeeded; those that failed count in the error rate"
        )
    return notes
