"""A canary beside the present version: its share of the requests, and what becomes of those that it fails."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.integration.serve.envoy import Loopback, Router
from tests.waiting import eventually

pytestmark = pytest.mark.integration

STABLE, CANARY = "gemma.llm.svc", "gemma-canary.llm.svc"
REQUESTS = 100


def routed(loopback: Loopback, canary: str) -> Router:
    """Two replicas of the present version, and one of the new one, which gets 30% once it is healthy."""
    for number in (2, 3):
        loopback.replica(number)
    loopback.replica(4, canary)
    loopback.names.addresses |= {STABLE: ["127.0.0.2", "127.0.0.3"], CANARY: ["127.0.0.4"]}
    router = loopback.router("gemma", canary=30)
    eventually(lambda: "127.0.0.2" in router.replicas(4))
    return router


def counted(router: Router, what: str, cluster: str) -> int:
    """A figure of a version, over its replicas."""
    found = re.findall(
        rf'^envoy_cluster_endpoint_{what}{{envoy_cluster_name="{cluster}",.*}} (\d+)$',
        router.statistics(),
        re.MULTILINE,
    )
    return sum(map(int, found))


def test_it_gets_its_share(loopback: Loopback) -> None:
    router = routed(loopback, "healthy")
    eventually(lambda: "127.0.0.4" in router.replicas(4))
    by = Counter(router.replicas(REQUESTS))
    assert 0.15 * REQUESTS < by["127.0.0.4"] < 0.45 * REQUESTS
    assert 0 < by["127.0.0.2"]
    assert 0 < by["127.0.0.3"]
    assert counted(router, "rq_total", "gemma-canary") >= by["127.0.0.4"]
    assert 0 == counted(router, "rq_error", "gemma-canary")


def test_what_it_fails_is_counted_and_answered_by_the_present_version(loopback: Loopback) -> None:
    router = routed(loopback, "failing")
    eventually(lambda: counted(router, "rq_total", "gemma-canary") + len(router.replicas(4)) > 4)
    assert {"127.0.0.2", "127.0.0.3"} == set(router.replicas(REQUESTS))
    failed = counted(router, "rq_error", "gemma-canary")
    assert failed == counted(router, "rq_total", "gemma-canary") > 0.15 * REQUESTS
    assert 0 == counted(router, "rq_error", "gemma")


def test_one_that_is_down_takes_nothing_from_anybody(loopback: Loopback) -> None:
    router = routed(loopback, "unhealthy")
    assert {"127.0.0.2", "127.0.0.3"} == set(router.replicas(REQUESTS))
    loopback.names.addresses[CANARY] = []
    assert {"127.0.0.2", "127.0.0.3"} == set(router.replicas(REQUESTS))
