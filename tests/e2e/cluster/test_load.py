"""All that happens to a deployment in a day, while requests come in steadily: none of them may notice."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from tests.e2e.cluster.conftest import RELEASE, Service
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

LEAST, MOST = 200, 1000
PAUSE_S = 4.0  # the processors start replicas meanwhile
TRIED = 20  # of them a new version must answer well
CLIENT = Path(__file__).with_name("load.py")


@contextmanager
def load(service: Service) -> Iterator[list[dict[str, Any]]]:
    """Requests from a pod while the block runs, and until the last is answered; the list is filled in the end."""
    space = service.namespace
    space.kubectl("create", "configmap", "load", f"--from-file={CLIENT}")
    described = Template(CLIENT.with_suffix(".yaml").read_text()).substitute(
        IMAGE=service.pods("router")[0]["spec"]["containers"][0]["image"],
        # by number: the cluster's DNS is not what is tried here
        ROUTER=space.get(f"service/{RELEASE}-router")["spec"]["clusterIP"],
        MODEL=RELEASE,
        PAUSE=PAUSE_S,
        MOST=MOST,
    )
    space.apply([yaml.safe_load(described)])
    results: list[dict[str, Any]] = []
    eventually(lambda: space.get("pod/load")["status"]["phase"] == "Running", 60, every=1)
    yield results
    eventually(lambda: len(space.kubectl("logs", "pod/load").splitlines()) >= LEAST, LEAST * PAUSE_S, every=1)
    space.kubectl("exec", "load", "--", "touch", "/tmp/stop")  # noqa: S108 - the pod's own
    eventually(lambda: space.get("pod/load")["status"]["phase"] == "Succeeded", 150, every=1)
    results += [json.loads(line) for line in space.kubectl("logs", "pod/load").splitlines()]
    space.kubectl("delete", "pod/load", "configmap/load", "--wait=false")


def test_no_request_notices_what_happens_to_its_deployment(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, before = service.namespace, service.served()
    with load(service) as results:
        # a replica that is told to end finishes what it has begun; a router too
        replica, router = service.ready()[0], service.ready("router")[0]
        space.kubectl("delete", f"pod/{replica}", f"pod/{router}", "--wait=false")
        eventually(lambda: replica not in service.ready(), 30, every=1)
        service.wait_available()

        # killed with -9: all but the first process, which nothing inside can kill
        victim = service.ready()[0]
        killed = time.time()
        space.kubectl("exec", victim, "--container=vllm", "--", "sh", "-c", "kill -9 -1")
        eventually(lambda: victim not in service.ready(), 60, every=1)
        service.wait_available()

        # a node that is emptied: budgets let one replica and one router go, and no more
        (node,) = {each["spec"]["nodeName"] for each in service.pods()}
        drain(node)
        service.wait_available()

        # another artifact comes, goes again, and comes once more by way of a share of the requests
        newer = service.changed({"artifact": service.publish_again(monkeypatch, "newer")})
        service.carry_out("deploy", newer)
        assert before != service.served()
        service.carry_out("rollback", newer)
        assert before == service.served()
        service.carry_out("promote", newer, "--canary=50%", f"--requests={TRIED}")
        assert before != service.served()
    assert LEAST <= len(results) < MOST
    failed = [each for each in results if not each["whole"]]
    cut_off = [
        each for each in failed if each["first"] and each["at"] < killed < each["at"] + each["seconds"] + 1
    ]
    assert [] == [each for each in failed if each not in cut_off]


def drain(node: str) -> None:
    """Cordon a node and evict its pods of the release for a while; then let it take pods again."""
    selector = f"--pod-selector=app.kubernetes.io/instance={RELEASE}"
    words = ["kubectl", "drain", node, selector, "--delete-emptydir-data", "--timeout=30s"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert "evict" in done.stdout + done.stderr
    finally:
        words = ["kubectl", "uncordon", node]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
