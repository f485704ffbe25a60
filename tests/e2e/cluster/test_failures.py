"""Rollouts that cannot succeed: each stops, names its cause, and what served before goes on serving."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.cluster.conftest import Service

pytestmark = pytest.mark.e2e

LITTLE = {"limits": {"memory": "700Mi"}, "requests": {"memory": "700Mi"}}


@contextmanager
def asking(service: Service) -> Iterator[None]:
    """Completions one after the other while the block runs, none of which may fail."""
    stop, answers = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            answers.append(service.answers())
            stop.wait(2)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield
    finally:
        stop.set()
        asker.join()
    assert answers
    assert all(answers)


def serving(service: Service) -> tuple[list[str], str]:
    """The replicas that serve, and which artifact."""
    said = service.shipfit("status", service.file, "--json")
    artifact = json.loads(said.stdout)["record"]["artifact"]["fingerprint"]
    return sorted(service.ready()), artifact


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(
            {"models": {"main": {"engine": {"args": {"no-such-flag": True}}}}},
            ["vLLM does not know --no-such-flag"],
            id="a flag that vLLM does not know",
        ),
        pytest.param(
            {"engine": {"image": {"repository": "registry.invalid/vllm", "tag": "0"}}},
            ["its image does not exist", "registry.invalid/vllm"],
            id="an image that does not exist",
        ),
        pytest.param(
            {"models": {"main": {"engine": {"resources": LITTLE}}}},
            ["vllm took more memory than its limit of 700Mi"],
            id="too little memory",
        ),
    ],
)
def test_a_rollout_that_fails_leaves_what_served(
    service: Service, values: dict[str, Any], said: list[str]
) -> None:
    before = serving(service)
    with asking(service):
        done = service.shipfit("deploy", service.changed(values=values), "--yes")
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert all(word in last for word in said), last
    assert "serves as before" in last
    assert before == serving(service)
    again = service.shipfit("deploy", service.file, "--dry-run")
    assert "nothing changes" in again.stdout
