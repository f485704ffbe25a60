"""When each request is due: decided before the first one is sent, whatever the server does (open loop)."""

from __future__ import annotations

import random

from shipfit.core.errors import InputError
from shipfit.spec import Workload

MAX_REQUESTS = 20_000
"""A load test of one machine's own deployment needs no more, and one client process keeps up with no more."""


def arrivals(workload: Workload) -> list[float]:
    """Seconds after the beginning at which each request is due, in order.

    A Poisson process, given how many arrive: request_rate x duration_s, so that the offered rate is what the
    deployment says. Given their number, the arrivals of a Poisson process are independent and uniform over the
    time (Ross, Introduction to Probability Models, section 5.3.5).

    Raises:
        InputError: more requests than a load test may send.
    """
    count = max(1, round(workload.request_rate * workload.duration_s))
    if count > MAX_REQUESTS:
        raise InputError(
            f"{workload.request_rate:g} requests a second for {workload.duration_s:g} s are {count:,} requests",
            hint=f"lower workload.request_rate or workload.duration_s: at most {MAX_REQUESTS:,} are sent",
            field="workload",
        )
    source = random.Random(workload.seed)  # noqa: S311 - traffic, not secrets; must be repeatable
    return sorted(source.uniform(0, workload.duration_s) for _ in range(count))
