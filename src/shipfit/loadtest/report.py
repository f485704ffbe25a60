"""The LoadTestReport: a document that other commands read, and from which the page for people is made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from shipfit.loadtest.records import RequestRecord
from shipfit.spec.base import Document, Section
from shipfit.spec.deployment import Slo, Workload


class Distribution(Section):
    """A figure over all requests that succeeded.

    Percentiles are interpolated linearly between the two nearest measured values (type 7 of Hyndman and Fan 1996;
    the default of NumPy).
    """

    count: int
    """How many values."""
    mean: float
    """Arithmetic mean."""
    p50: float
    """Median."""
    p90: float
    """90th percentile."""
    p95: float
    """95th percentile."""
    p99: float
    """99th percentile."""
    max: float
    """Largest."""


class Latency(Section):
    """Milliseconds. None where no request gave a value."""

    ttft_ms: Distribution | None
    """Time to first token, from when the request was due."""
    tpot_ms: Distribution | None
    """Time per output token after the first."""
    e2e_ms: Distribution | None
    """Whole request, from when it was due."""


class Throughput(Section):
    """Over the time from the first moment of the traffic to the last answer, and at least the workload's duration."""

    requested_rate: float
    """Requests a second that were due."""
    achieved_rate: float
    """Requests a second that were sent."""
    answered_per_s: float
    """Requests a second that succeeded."""
    output_tokens_per_s: float
    """Output tokens a second, of those that succeeded."""
    peak_in_flight: int
    """Most requests that were in flight at once."""


class ErrorCount(Section):
    """Failed requests of one kind."""

    kind: str
    """Such as `http-500` or `timeout`."""
    count: int
    """How many."""
    example: str
    """What the client said of the first of them."""


class ClientHealth(Section):
    """Whether the client itself kept up. One that did not measures its own slowness."""

    healthy: bool
    """Whether the figures can be trusted."""
    lag_p95_ms: float | None
    """How late requests were sent, 95th percentile."""
    lag_limit_ms: float
    """The most that this may be."""
    cpu_share: float | None
    """What the client's busiest process took of a core."""
    unsent: int
    """Requests that were due and never sent."""
    problems: list[str]
    """What is wrong, with the figures."""


class Check(Section):
    """One limit of the SLO."""

    name: str
    """The field of `slo`."""
    unit: Literal["ms", "share"]
    """Of limit and measured value."""
    limit: float
    """The most that was promised."""
    measured: float | None
    """What was measured; none where nothing could be, which keeps no promise."""
    passed: bool
    """Whether the limit was kept."""


class Verdict(Section):
    """The judgement of the SLO."""

    passed: bool
    """Whether every limit was kept."""
    checks: list[Check]
    """Each limit."""


class Row(Section):
    """A quantity that was predicted and measured."""

    quantity: str
    """What."""
    unit: str
    """Its unit."""
    predicted: float
    """By the plan."""
    measured: float
    """On the running deployment."""
    ratio: float | None
    """Measured divided by predicted; none where nothing was predicted."""


class Comparison(Section):
    """The plan beside what was measured."""

    rows: list[Row]
    """Each quantity that has both."""


class LoadTestReport(Document):
    """What a load test measured, and whether the SLO was kept."""

    kind: Literal["LoadTestReport"] = "LoadTestReport"
    """Says that this is a LoadTestReport."""
    created_at: datetime
    """When the traffic began, in UTC."""
    base_url: str
    """Where requests went."""
    model: str
    """What requests named."""
    command: str
    """What to run to repeat it."""
    versions: dict[str, str]
    """Of shipfit and of the load generator."""
    workload: Workload
    """The traffic."""
    slo: Slo
    """What it was judged by."""
    requests: int
    """How many were due."""
    succeeded: int
    """How many were answered in full."""
    input_tokens: float | None
    """Tokens of a prompt as the server counted, on average."""
    output_tokens: float | None
    """Tokens of an answer as the server counted, on average."""
    latency: Latency
    """Of the requests that succeeded."""
    throughput: Throughput
    """Rates."""
    errors: list[ErrorCount]
    """Failures by kind, the most frequent first."""
    client: ClientHealth
    """The load generator's own state."""
    verdict: Verdict
    """Against the SLO."""
    notes: list[str]
    """What to bear in mind when reading the figures."""
    comparison: Comparison | None = None
    """With the plan, where there is one."""
    records: list[RequestRecord]
    """Every request, in the order in which they were due."""
