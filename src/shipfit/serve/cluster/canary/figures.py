"""What a canary and the version beside it did, from statistics of Envoy and vLLM. Pure.

Envoy counts for every replica what it was asked and what it failed (500 and above, or the connection lost), tries that
another replica then answered included; a client that gives up is no failure. vLLM's histograms give latencies.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/upstream/cluster_manager/cluster_stats (per endpoint)
https://docs.vllm.ai/en/v0.32.0/design/metrics/
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ENVOY = {"asked": "envoy_cluster_endpoint_rq_total", "failed": "envoy_cluster_endpoint_rq_error"}
_VLLM = {
    "ttft": "vllm:time_to_first_token_seconds_bucket",
    "tpot": "vllm:request_time_per_output_token_seconds_bucket",
    "e2e": "vllm:e2e_request_latency_seconds_bucket",
}
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*){(.*)} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SHARE = 0.95


@dataclass(frozen=True)
class Series:
    """A counter that a pod keeps.

    Attributes:
        what: is counted: of Envoy ``asked`` or ``failed``, of vLLM a latency by its name in an SLO.
        of: the replicas, by the name of their Service; of a latency the upper bound of a bucket, in seconds.
        part: what tells it from others of the same pod that count the same, to be added up.
    """

    pod: str
    what: str
    of: str
    part: str = ""


Reading = Mapping[Series, float]
"""How far counters are."""


@dataclass(frozen=True)
class Requests:
    """What some replicas were asked, and how many of that failed."""

    total: int
    failed: int

    @property
    def share(self) -> float:
        """Of the requests that failed; 0 of none."""
        return self.failed / self.total if self.total else 0.0


@dataclass(frozen=True)
class Seen:
    """What both versions did while they were watched.

    Attributes:
        p95_ms: the canary's 95th percentile of each latency, by its name in an SLO, in milliseconds; none where none
            was measured.
    """

    stable: Requests
    canary: Requests
    p95_ms: dict[str, float]


class Counters:
    """Adds up counters of pods that come, restart and go; the first reading is where it begins."""

    def __init__(self, first: Reading) -> None:
        self._last = dict(first)
        self._grown: dict[tuple[str, str], float] = defaultdict(float)

    def add(self, reading: Reading) -> None:
        """Take another reading. What is new in it, or smaller than before, began at zero in the meantime."""
        for series, value in reading.items():
            before = self._last.get(series, 0.0)
            self._grown[series.what, series.of] += value - before if value >= before else value
        self._last.update(reading)

    def seen(self, stable: str, canary: str) -> Seen:
        """The figures so far.

        Args:
            stable: name of the Service of the version that serves.
            canary: that of the new one.
        """
        percentiles = {name: percentile(self._of(name)) for name in _VLLM}
        return Seen(
            self._requests(stable),
            self._requests(canary),
            {name: 1000 * value for name, value in percentiles.items() if value is not None},
        )

    def _of(self, what: str) -> dict[str, float]:
        return {of: value for (kind, of), value in self._grown.items() if kind == what}

    def _requests(self, of: str) -> Requests:
        return Requests(*(round(self._of(what).get(of, 0.0)) for what in _ENVOY))


def percentile(buckets: Mapping[str, float]) -> float | None:
    """The 95th percentile of a histogram, as Prometheus computes it: by a line through the bucket that holds it.

    https://prometheus.io/docs/prometheus/3.5/querying/functions/#histogram_quantile

    Args:
        buckets: how many were at most as much as each bound; ``+Inf`` counts all.

    Returns:
        None where there were none; the largest bound where it is beyond that.
    """
    bounds = sorted((float(bound), count) for bound, count in buckets.items())
    if not bounds or not bounds[-1][1]:
        return None
    rank = _SHARE * bounds[-1][1]
    below = fewer = 0.0
    for bound, count in bounds:
        if count >= rank:
            if math.isinf(bound):
                return below
            return below + (bound - below) * (rank - fewer) / (count - fewer)
        below, fewer = bound, count
    return below


def of_router(pod: str, text: str) -> dict[Series, float]:
    """What a router's pod says of replicas."""
    return {
        Series(pod, what, labels["envoy_cluster_name"], labels["envoy_endpoint_address"]): value
        for what, labels, value in _samples(text, _ENVOY)
    }


def of_replica(pod: str, text: str) -> dict[Series, float]:
    """What a replica says of latencies."""
    return {
        Series(pod, what, labels["le"], labels.get("engine", "")): value
        for what, labels, value in _samples(text, _VLLM)
    }


def _samples(text: str, names: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str], float]]:
    by_name = {name: what for what, name in names.items()}
    for name, labels, value in _SAMPLE.findall(text):
        if name in by_name:
            yield by_name[name], dict(_LABEL.findall(labels)), float(value)
