"""KEDA adds and takes away replicas by what vLLM itself says of its queue, through a real Prometheus."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.cluster.conftest import NAMESPACE, RELEASE, Service
from tests.integration.helm.charts import free_ports
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

CLIENTS = 16  # several times what a replica takes at once
LULL_S = 120


@contextmanager
def prometheus(service: Service, folder: Path, address: str) -> Iterator[str]:
    """A Prometheus of this machine that scrapes the replicas; its URL as pods reach it."""
    targets = folder / "targets.json"  # Debian's Prometheus does not ask Kubernetes
    targets.write_text("[]")
    config = folder / "prometheus.yaml"
    discovery = [{"files": [str(targets)], "refresh_interval": "5s"}]
    settings = {
        "global": {"scrape_interval": "5s", "scrape_timeout": "4s"},
        "scrape_configs": [{"job_name": "replicas", "file_sd_configs": discovery}],
    }
    config.write_text(yaml.safe_dump(settings))
    (port,) = free_ports(1)
    words = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address={address}:{port}",
    ]
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(3):
            found = [
                {
                    "targets": [f"{each['status']['podIP']}:8000"],
                    "labels": {"namespace": NAMESPACE, "pod": each["metadata"]["name"]},
                }
                for each in service.pods()
                if each["status"].get("podIP")
            ]
            targets.with_suffix(".new").write_text(json.dumps(found))
            targets.with_suffix(".new").replace(targets)

    following = threading.Thread(target=follow)
    with (folder / "prometheus.log").open("w") as log, subprocess.Popen(words, stderr=log) as running:
        following.start()
        try:
            yield f"http://{address}:{port}"
        finally:
            stop.set()
            following.join()
            running.terminate()


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
    address = os.environ.get("SHIPFIT_TEST_ADDRESS")
    if not address or shutil.which("prometheus") is None:
        pytest.skip(
            "have Prometheus (apt-get install prometheus), and KEDA in the cluster; SHIPFIT_TEST_ADDRESS is the address"
            " by which its pods reach this machine"
        )
    before = service.served()
    with prometheus(service, tmp_path, address) as url:
        scaled = {
            "models": {
                "main": {
                    "autoscaling": {
                        "min": 1,
                        "max": 3,
                        "waitingRequests": 2,
                        "lullSeconds": LULL_S,
                        "prometheus": url,
                    }
                }
            },
            "drain": {"requestsSeconds": 20},
        }
        service.carry_out("deploy", service.changed(values=scaled))
        eventually(lambda: len(service.ready()) == 1, 300, every=1)  # nobody asks: one does
        stop = threading.Event()
        with clients(service, stop) as answers:
            eventually(lambda: len(service.pods()) == 3, 200, every=1)
            stop.set()  # the processors are for those that start now
        assert set(answers) == {httpx.codes.OK}
        eventually(lambda: len(service.ready()) == 3, LULL_S, every=1)
        eventually(lambda: len(service.ready()) == 1, LULL_S + 180, every=1)
    service.carry_out("rollback", service.file)
    assert before == service.served()
    assert len(service.ready()) == 2
