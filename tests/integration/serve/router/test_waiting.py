"""A model without a replica, for a moment or until a request wakes it: its requests wait."""

from __future__ import annotations

import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from shipfit.serve.router.clusters import DNS_REFRESH_S, LIMIT
from tests.integration.serve.envoy import KEY, Loopback, Router
from tests.waiting import eventually

pytestmark = pytest.mark.integration

NAME = "gemma.llm.svc"
CLIENTS = 20


def waiting(router: Router) -> int:
    """How many requests wait, as the autoscaler's query counts them."""
    left = re.search(
        r'^envoy_cluster_circuit_breakers_default_remaining_retries{envoy_cluster_name="gemma-gate"} (\d+)$',
        router.statistics(),
        re.MULTILINE,
    )
    assert left
    return LIMIT - int(left[1])


def asked(router: Router, pool: ThreadPoolExecutor, count: int) -> list[Future[httpx.Response]]:
    """Requests that wait by now."""
    found = [pool.submit(router.ask, "3 0.1") for _ in range(count)]
    eventually(lambda: waiting(router) == count)
    return found


def test_requests_wait_and_are_all_answered(loopback: Loopback) -> None:
    router = loopback.router("gemma", wait_s=60, wakes=True)
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = asked(router, pool, CLIENTS)
        loopback.replica(2)
        loopback.names.addresses[NAME] = ["127.0.0.2"]
        assert [200] * CLIENTS == [each.result().status_code for each in answers]
        assert 0 == waiting(router)
        assert {3} == {each.result().text.count("127.0.0.2") for each in answers}
        loopback.names.addresses = {}  # scaled down to none again, though its pod still answers
        time.sleep(3 * DNS_REFRESH_S)
        (again,) = asked(router, pool, 1)
        loopback.names.addresses[NAME] = ["127.0.0.2"]
        assert 200 == again.result().status_code


def test_a_large_request_waits_whole_and_its_answer_streams(loopback: Loopback) -> None:
    router = loopback.router("gemma", wait_s=60, wakes=True)
    body: dict[str, Any] = {"model": "gemma", "prompt": "5 0.3", "padding": "x" * 3_000_000}
    with ThreadPoolExecutor() as pool, router.client() as client:
        pool.submit(lambda: (eventually(lambda: waiting(router) == 1), loopback.replica(2)))
        loopback.names.addresses[NAME] = ["127.0.0.2"]
        with client.stream("POST", "/v1/completions", json=body) as answer:
            assert 200 == answer.status_code
            came = [time.monotonic() for _ in answer.iter_lines()]
    assert 5 == len(came)
    assert came[-1] - came[0] > 0.9  # one after the other, as they were made


def test_a_client_that_gives_up_waits_no_more(loopback: Loopback) -> None:
    router = loopback.router("gemma", wait_s=60, wakes=True)
    with router.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/completions", json={"model": "gemma", "prompt": "1 0"}, timeout=1)
    eventually(lambda: waiting(router) == 0, 2)


def test_after_its_time_the_answer_says_so(loopback: Loopback) -> None:
    router = loopback.router("gemma", wait_s=4, wakes=True)
    begun = time.monotonic()
    refused = router.ask("1 0")
    assert 3.5 < time.monotonic() - begun < 7
    assert (503, "service_unavailable") == (refused.status_code, refused.json()["error"]["code"])
    assert "1" == refused.headers["retry-after"]
    assert "x-envoy-ratelimited" not in refused.headers


def test_a_replica_that_fails_is_asked_a_few_times_only(loopback: Loopback) -> None:
    loopback.replica(2, "failing")
    loopback.names.addresses[NAME] = ["127.0.0.2"]
    router = loopback.router("gemma", wait_s=600, wakes=True)
    eventually(lambda: router.ask("1 0").status_code == 500)
    begun = time.monotonic()
    assert 500 == router.ask("1 0").status_code
    assert time.monotonic() - begun < 3


def test_a_replica_that_the_name_leaves_out_for_a_moment_costs_no_request(loopback: Loopback) -> None:
    loopback.replica(2)
    loopback.names.addresses[NAME] = ["127.0.0.2"]
    router = loopback.router("gemma", wait_s=10)
    assert ["127.0.0.2"] == router.replicas(1)
    with ThreadPoolExecutor(CLIENTS) as pool:
        loopback.names.addresses = {}
        eventually(lambda: httpx.get(f"{router.url}/health").status_code == 503)  # it is about them
        answers = asked(router, pool, CLIENTS)
        loopback.names.addresses[NAME] = ["127.0.0.2"]
        assert [200] * CLIENTS == [each.result().status_code for each in answers]


def test_neither_a_stranger_nor_a_list_wakes_it(loopback: Loopback) -> None:
    router = loopback.router("gemma", wait_s=60, wakes=True)
    with router.client() as client:
        assert ["gemma"] == [each["id"] for each in client.get("/v1/models").json()["data"]]
    assert 404 == router.ask("1 0", "another").status_code
    with router.client(KEY + "x") as client:
        assert 401 == client.post("/v1/completions", json={"model": "gemma", "prompt": "1 0"}).status_code
    assert (
        200 == httpx.get(f"{router.url}/health").status_code
    )  # else no balancer would let a first request in
    assert 0 == waiting(router)
