from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.integration.serve.envoy import Loopback, Router, free_port
from tests.waiting import eventually

pytestmark = pytest.mark.integration

PIECES = 40
EVERY_S = 0.1


def start(admin: int, *, least: float, limit: float) -> subprocess.Popen[str]:
    words = ["--admin", str(admin), "--least", str(least), "--limit", str(limit)]
    argv = [sys.executable, "-m", "shipfit.serve.pod.drain", *words]
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)


@contextmanager
def streaming(router: Router) -> Iterator[Iterator[str]]:
    """The rest of an answer that has begun and takes PIECES * EVERY_S seconds."""
    body = {"model": "gemma", "prompt": f"{PIECES} {EVERY_S}"}
    with router.client() as client, client.stream("POST", "/v1/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        yield lines


@pytest.fixture
def router(loopback: Loopback) -> Router:
    loopback.names.addresses["gemma.llm.svc"] = [loopback.replica(2).address]
    return loopback.router("gemma")


def test_it_is_out_of_service_at_once_and_ends_with_the_last_request(router: Router) -> None:
    with streaming(router) as lines, start(router.admin, least=1, limit=60) as drain:
        eventually(lambda: router.status("readyz") == 503)
        assert 200 == router.status("livez")
        assert 503 == httpx.get(f"{router.url}/health").status_code
        late = router.ask("1 0")
        assert (200, "close") == (late.status_code, late.headers["connection"])
        assert drain.poll() is None
        assert PIECES - 1 == len(list(lines))
        ended = time.monotonic()
        assert 0 == drain.wait(10)
        assert time.monotonic() - ended < 3


def test_it_waits_for_who_has_not_heard_of_it_yet(router: Router) -> None:
    begun = time.monotonic()
    with start(router.admin, least=2, limit=60) as drain:
        assert 0 == drain.wait(20)
    assert 2 <= time.monotonic() - begun < 6


def test_it_does_not_wait_for_ever(router: Router) -> None:
    with streaming(router) as lines, start(router.admin, least=0, limit=1) as drain:
        assert 0 == drain.wait(PIECES * EVERY_S - 1)
        assert PIECES - 1 == len(list(lines))


def test_without_envoy_it_says_so() -> None:
    with start(free_port(), least=0, limit=1) as drain:
        assert drain.stderr
        said = drain.stderr.read()
        assert 3 == drain.wait(10)
    assert said.startswith("drain: Envoy does not answer on port")
    assert 1 == said.count("\n")
