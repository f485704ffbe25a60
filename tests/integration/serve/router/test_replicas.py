"""Replicas that come, leave and die while they are asked."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from shipfit.serve.router.clusters import DNS_REFRESH_S
from tests.integration.serve.envoy import Loopback, Router
from tests.waiting import eventually

pytestmark = pytest.mark.integration

NAME = "gemma.llm.svc"
STEPS = 150


@contextmanager
def load(router: Router, prompt: str = "1 0.02", clients: int = 8) -> Iterator[list[httpx.Response]]:
    """Requests without a pause while the block runs; the answers are whole after it."""
    answers: list[httpx.Response] = []
    ends = threading.Event()

    def ask() -> None:
        with router.client() as client:
            while not ends.is_set():
                body = {"model": "gemma", "prompt": prompt}
                answers.append(client.post("/v1/completions", json=body))

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask) for _ in range(clients)]
        try:
            yield answers
        finally:
            ends.set()
        for each in asking:
            each.result()


def failed(answers: list[httpx.Response]) -> list[httpx.Response]:
    return [each for each in answers if each.status_code != 200]


def test_one_killed_abruptly_costs_no_request(loopback: Loopback) -> None:
    upstreams = [loopback.replica(number) for number in (2, 3)]
    loopback.names.addresses[NAME] = [each.address for each in upstreams]
    router = loopback.router("gemma")
    eventually(lambda: len(set(router.replicas(8))) == 2)
    with load(router) as answers:
        time.sleep(1)
        upstreams[0].kill()
        before = len(answers)
        time.sleep(2)
    assert [] == failed(answers)
    assert len(answers) > before + STEPS
    assert {"127.0.0.3"} == set(router.replicas(8))


def test_one_that_leaves_the_name_gets_no_more_and_ends_what_it_has(loopback: Loopback) -> None:
    for number in (2, 3):
        loopback.replica(number)
    loopback.names.addresses[NAME] = ["127.0.0.2"]
    router = loopback.router("gemma")
    with router.client() as client:
        body = {"model": "gemma", "prompt": "40 0.1"}
        with client.stream("POST", "/v1/completions", json=body) as answer:
            lines = answer.iter_lines()
            assert "127.0.0.2" == json.loads(next(lines))["replica"]
            with load(router) as answers:
                loopback.names.addresses[NAME] = [
                    "127.0.0.3"
                ]  # the other lives, and answers its health check
                time.sleep(3 * DNS_REFRESH_S)
            assert [] == failed(answers)
            assert {"127.0.0.3"} == {each.json()["replica"] for each in answers[-STEPS:]}
            assert 39 == len(list(lines))


def test_one_that_comes_gets_requests_once_it_is_healthy(loopback: Loopback) -> None:
    loopback.replica(2)
    late = loopback.replica(3, "unhealthy")
    loopback.names.addresses[NAME] = ["127.0.0.2"]
    router = loopback.router("gemma")
    with load(router, clients=4) as answers:
        loopback.names.addresses[NAME] = ["127.0.0.2", "127.0.0.3"]
        time.sleep(3 * DNS_REFRESH_S)
        assert {"127.0.0.2"} == {each.json()["replica"] for each in answers}
        late.signal(signal.SIGUSR2)
        eventually(lambda: any(each.json()["replica"] == "127.0.0.3" for each in answers[-20:]))
    assert [] == failed(answers)


def test_without_any_the_answer_says_so_until_one_comes(loopback: Loopback) -> None:
    router = loopback.router("gemma")
    refused = router.ask("1 0")
    assert (503, "service_unavailable") == (refused.status_code, refused.json()["error"]["code"])
    assert 503 == httpx.get(f"{router.url}/health").status_code
    loopback.replica(2)
    loopback.names.addresses[NAME] = ["127.0.0.2"]
    eventually(lambda: router.ask("1 0").status_code == 200)
    assert 200 == httpx.get(f"{router.url}/health").status_code
