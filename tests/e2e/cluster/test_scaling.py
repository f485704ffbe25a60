"""KEDA adds and takes away replicas by what vLLM and the routers say of their queues, through a real Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.cluster.conftest import NAMESPACE, RELEASE, Service
from tests.integration.helm.charts import run
from tests.integration.prometheus import Targets, prometheus
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

CLIENTS = 16  # several times what a replica takes at once
LULL_S = 120
START_S = 240
METRICS = {"replica": (8000, "/metrics"), "router": (9902, "/stats/prometheus")}


@contextmanager
def scaled(service: Service, folder: Path, least: int, most: int) -> Iterator[None]:
    """While the block runs, KEDA decides how many replicas there are; then all is as before."""
    before = service.served()

    def targets() -> Targets:
        return [
            {
                "targets": [f"{pod['status']['podIP']}:{port}"],
                "labels": {
                    "namespace": NAMESPACE,
                    "pod": pod["metadata"]["name"],
                    "__metrics_path__": path,
                },
            }
            for component, (port, path) in METRICS.items()
            for pod in service.pods(component)
            if pod["status"].get("podIP")
        ]

    with prometheus(folder, targets) as url:
        bounds = {"min": least, "max": most, "waitingRequests": 2, "lullSeconds": LULL_S, "prometheus": url}
        values = {"models": {"main": {"autoscaling": bounds}}, "drain": {"requestsSeconds": 20}}
        service.carry_out("deploy", service.changed(values=values))
        try:
            yield
        finally:
            service.carry_out("rollback", service.file)
    assert before == service.served()
    assert len(service.ready()) == 2


@contextmanager
def clients(service: Service, stop: threading.Event) -> Iterator[list[int]]:
    """Clients that each ask again as soon as they were answered; the statuses of their answers."""
    answers: list[int] = []
    body = {"model": RELEASE, "prompt": "Water boils at", "max_tokens": 48, "ignore_eos": True}
    headers = {"authorization": f"Bearer {service.key}"}
    with ExitStack() as stack:
        port = stack.enter_context(service.namespace.forwarded(f"{RELEASE}-router", 80))
        url = f"http://127.0.0.1:{port}/v1/completions"

        def ask() -> None:
            while not stop.is_set():
                answers.append(httpx.post(url, json=body, headers=headers, timeout=600).status_code)

        threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for each in threads:
            each.start()
        try:
            yield answers
        finally:
            stop.set()
            for each in threads:
                each.join()


def test_replicas_come_with_requests_and_go_when_they_have_gone(service: Service, tmp_path: Path) -> None:
    with scaled(service, tmp_path, 1, 3):
        eventually(lambda: len(service.ready()) == 1, START_S, every=1)  # nobody asks: one does
        stop = threading.Event()
        with clients(service, stop) as answers:
            eventually(lambda: len(service.pods()) == 3, 200, every=1)
            stop.set()  # the processors are for those that start now
        assert set(answers) == {httpx.codes.OK}
        eventually(lambda: len(service.ready()) == 3, LULL_S, every=1)
        eventually(lambda: len(service.ready()) == 1, LULL_S + 180, every=1)


def test_the_last_replica_goes_too_and_comes_for_requests_that_wait(service: Service, tmp_path: Path) -> None:
    with scaled(service, tmp_path, 0, 1), ThreadPoolExecutor() as pool:
        # Also of those that drain: they still answer, and would be all that is asked.
        eventually(lambda: not service.all_pods(), LULL_S + 180, every=1)
        asked = [pool.submit(service.answers, START_S) for _ in range(3)]
        # One of them is the chart's own test, which also sees that the promise is kept once there is a replica.
        run("helm", "test", RELEASE, f"--namespace={NAMESPACE}", f"--timeout={START_S}s")
        assert all(each.result() for each in asked)
        assert len(service.ready()) == 1
