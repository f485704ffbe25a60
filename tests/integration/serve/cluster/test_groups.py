"""Replicas that span machines, on a real cluster with simulated GPU nodes: deployed, updated, tried as a canary, scaled.

LeaderWorkerSet's own controller makes their pods, in which nothing runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.progress import NoProgress
from shipfit.serve.cluster import groups
from shipfit.serve.cluster.canary.promotion import propose_promotion
from shipfit.serve.cluster.deploy import roll_out, take_down
from shipfit.serve.cluster.propose import propose
from shipfit.serve.cluster.status import status
from shipfit.serve.cluster.target import target_of
from tests.integration.kubernetes import needs_cluster
from tests.integration.prometheus import Targets, prometheus
from tests.integration.serve.cluster.conftest import Publish, Site, kubectl
from tests.waiting import eventually

pytestmark = [pytest.mark.integration, needs_cluster]

QUIET = NoProgress()
LLAMA = "meta-llama/Llama-3.1-405B-Instruct"
H100 = "NVIDIA-H100-80GB-HBM3"
ACROSS: dict[str, Any] = {
    "model": LLAMA,
    "artifact": "llama-405b@stable",
    "precision": "bf16",
    "across_machines": True,
    "hardware": [{"gpu": "H100-SXM5-80GB", "count": 16}],
}
SCALED: dict[str, Any] = {"min": 0, "max": 2, "waitingRequests": 2, "lullSeconds": 20}
RETRIES = 1_000_000
"""What a router has left of retries where nothing waits in it."""


@pytest.fixture(autouse=True)
def _groups() -> None:
    if not kubectl("rollout", "status", "deployment", "--namespace=lws-system", "--timeout=60s"):
        pytest.skip(
            "no LeaderWorkerSet in the cluster: install it (https://lws.sigs.k8s.io/docs/installation)"
        )


def test_405b_at_16_bits_takes_eight_gpus_on_each_of_two_nodes(site: Site, publish: Publish) -> None:
    publish("llama-405b", LLAMA, "bf16", "one")
    deployment = site.deployment(**ACROSS)
    node = site.node("h100-0", H100, gpu=8)
    said = " ".join(each.what for each in propose(deployment, QUIET).objections)
    assert "1 of 2 pods of chat-main, 2 a replica, find no room for" in said
    assert f"{node}, with 1 of them, has 0 nvidia.com/gpu free" in said

    site.node("h100-1", H100, gpu=8)
    proposal = propose(deployment, QUIET)
    roll_out(proposal, QUIET)
    assert (8, 2, 2) == (
        proposal.plan.tensor_parallel,
        proposal.plan.pipeline_parallel,
        proposal.plan.machines,
    )
    assert ["h100-0", "h100-1"] == site.places()
    leader, worker = sorted(site.pods(), key=lambda pod: str(pod["metadata"]["name"]))
    assert ("chat-main-0", "chat-main-0-1") == (leader["metadata"]["name"], worker["metadata"]["name"])
    for pod, headless in ((leader, False), (worker, True)):
        (vllm,) = pod["spec"]["containers"]
        assert "8" == vllm["resources"]["limits"]["nvidia.com/gpu"]
        assert headless is ("--headless" in vllm["args"])
    again = propose(deployment, QUIET)
    assert again.unchanged
    seen = status(target_of(deployment))
    assert [] == seen.causes == seen.drift
    assert [("replica", "ready"), ("replica", "ready"), ("router", "ready")] == [
        (each.component, each.state) for each in seen.pods
    ]

    # Both nodes are full, so a new group waits for the old one's end; and both of its pods are new then.
    publish("llama-405b", LLAMA, "bf16", "two")
    proposal = propose(deployment, QUIET)
    told = next(line for line in proposal.pods if line.startswith("chat-main"))
    assert "1 replica restart: in place, one ends before its successor starts" in told
    roll_out(proposal, QUIET)
    fresh = {each["metadata"]["uid"] for each in site.pods()}
    assert (2, set()) == (len(fresh), fresh & {leader["metadata"]["uid"], worker["metadata"]["uid"]})
    assert take_down(deployment, QUIET)
    assert [] == site.pods()


def test_a_canary_is_a_group_of_its_own_beside_what_serves(site: Site, publish: Publish) -> None:
    first = publish("llama-405b", LLAMA, "bf16", "one")
    second = publish("llama-405b", LLAMA, "bf16", "two", "candidate")
    for number in range(3):
        site.node(f"h100-{number}", H100, gpu=8)
    roll_out(propose(site.deployment(**ACROSS), QUIET), QUIET)
    stable = {each["metadata"]["uid"] for each in site.pods()}
    newer = site.deployment(**ACROSS | {"artifact": "llama-405b@candidate"})
    canary = propose_promotion(newer, 10, QUIET).canary
    assert canary
    said = " ".join(each.what for each in canary.objections)
    assert "1 of 2 pods of chat-main-canary, 2 a replica, find no room for" in said

    site.node("h100-3", H100, gpu=8)
    canary = propose_promotion(newer, 10, QUIET).canary
    assert canary
    assert [] == canary.objections
    roll_out(canary, QUIET)
    assert sorted([first, first, second, second]) == site.fingerprints()
    assert stable < {each["metadata"]["uid"] for each in site.pods()}
    # Of each group the router knows the leader alone.
    assert {"chat-main-0"} == behind(site, "chat-main")
    assert {"chat-main-canary-0"} == behind(site, "chat-main-canary")
    seen = status(target_of(newer))
    assert [] == seen.causes == seen.drift
    assert second == seen.record["canary"]["artifact"]["fingerprint"]

    # All nodes are taken, and the canary's two become free.
    proposal = propose(newer, QUIET)
    assert [] == proposal.objections
    told = next(line for line in proposal.pods if line.startswith("chat-main"))
    assert "a new one starts before an old one ends" in told
    roll_out(proposal, QUIET)
    assert [second, second] == site.fingerprints()
    assert {"chat-main-0"} == behind(site, "chat-main")
    (left,) = site.namespace.get("leaderworkersets")["items"]
    assert "chat-main" == left["metadata"]["name"]
    assert take_down(newer, QUIET)


def test_groups_come_with_requests_and_all_go_when_nobody_asks(
    site: Site, publish: Publish, tmp_path: Path
) -> None:
    publish("llama-405b", LLAMA, "bf16", "one")
    for number in range(4):
        site.node(f"h100-{number}", H100, gpu=8)
    with requests(site) as asked, prometheus(tmp_path, asked.targets) as url:
        values = {
            "models": {"main": {"autoscaling": SCALED | {"prometheus": url}}},
            "drain": {"routerSeconds": 1, "requestsSeconds": 1},
        }
        deployment = site.deployment(values, **ACROSS)
        roll_out(propose(deployment, QUIET), QUIET)
        eventually(lambda: site.pods() == [], 180, every=1)
        assert propose(deployment, QUIET).unchanged
        assert [] == status(target_of(deployment)).drift

        asked.waiting = 1
        eventually(lambda: leaders(site) == {"chat-main-0"}, 120, every=1)
        asked.waiting = 100
        eventually(lambda: leaders(site) == {"chat-main-0", "chat-main-1"}, 120, every=1)
        eventually(lambda: len(site.pods()) == 4, 60, every=1)
        assert ["h100-0", "h100-1", "h100-2", "h100-3"] == site.places()
        asked.waiting = 1
        eventually(lambda: leaders(site) == {"chat-main-0"}, 180, every=1)
    assert take_down(deployment, QUIET)


class Figures(BaseHTTPRequestHandler):
    """Says what a router would say, in Prometheus' words."""

    def do_GET(self) -> None:
        """Answer with all figures."""
        assert isinstance(self.server, Requests)
        gate = '{envoy_cluster_name="chat-main-gate"}'
        lines = {
            f"envoy_cluster_upstream_rq_active{gate}": 0,
            f"envoy_cluster_circuit_breakers_default_remaining_retries{gate}": RETRIES - self.server.waiting,
        }
        body = "".join(f"{name} {value}\n" for name, value in lines.items()).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


class Requests(ThreadingHTTPServer):
    """Where Prometheus is told of requests, as if the release had them; nothing runs in its pods.

    Attributes:
        waiting: how many, all of them in the router.
    """

    waiting = 0

    def __init__(self, site: Site) -> None:
        super().__init__(("127.0.0.1", 0), Figures)
        self._namespace = site.namespace.name

    def targets(self) -> Targets:
        """A router's pod, which counts requests where no replica is."""
        pod = {"namespace": self._namespace, "pod": "chat-router-0"}
        return [{"targets": [f"127.0.0.1:{self.server_port}"], "labels": pod}]


@contextmanager
def requests(site: Site) -> Iterator[Requests]:
    """The requests of a release, none at first."""
    with Requests(site) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


def leaders(site: Site) -> set[str]:
    """The names of the first pods of groups."""
    return {each["metadata"]["name"] for each in site.pods() if groups.leads(each)}


def behind(site: Site, service: str) -> set[str]:
    """The pods that a Service leads to."""
    found = site.namespace.get("endpointslices", f"--selector=kubernetes.io/service-name={service}")
    return {each["targetRef"]["name"] for slice_ in found["items"] for each in slice_["endpoints"] or ()}
