"""The loop in a cluster: what `make cluster-demo` made and left running."""

from __future__ import annotations

import json

import pytest

from shipfit.artifacts import open_store
from shipfit.core.progress import NoProgress
from tests.e2e.cluster.conftest import RELEASE, Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

KINDS = ("replica", "router", "test")


def test_the_next_run_of_the_schedule_says_unchanged_and_starts_no_ray_cluster(service: Service) -> None:
    space = service.namespace
    before = space.kubectl("get", "rayjobs,rayclusters", "--output=name").split()
    assert "unchanged" in service.run_schedule()
    assert set(space.kubectl("get", "rayjobs,rayclusters", "--output=name").split()) <= set(before)


def test_what_is_served_is_what_the_pipeline_published(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = service.shipfit("status", service.file, "--json")
    assert said.returncode == 0, said.stderr
    status = json.loads(said.stdout)
    service.reach_store(monkeypatch)
    with open_store("s3://shipfit", NoProgress()) as store:
        published = store.resolve("gemma-3-270m-gptq-w4a16", "stable")
    assert published == status["record"]["artifact"]["fingerprint"]
    assert status["drift"] == status["causes"] == []
    there = {each["metadata"]["name"] for kind in KINDS for each in service.pods(kind)}
    assert there == {each["name"] for each in status["pods"]}
    assert len(service.ready()) == 2
    replicas = [each for each in status["pods"] if each["figures"]]
    assert len(replicas) == 2
    for each in replicas:
        predicted = status["record"]["plan"]["memory"]
        assert each["figures"]["kv_cache_gib"] == pytest.approx(predicted["kv_cache_gib"], rel=0.05)


def test_it_answers_and_passes_the_tests_that_the_chart_brings(service: Service) -> None:
    assert service.answers()
    pods = service.namespace.get("pods", f"--selector=app.kubernetes.io/instance={RELEASE}")["items"]
    tested = [each for each in pods if each["metadata"]["labels"]["app.kubernetes.io/component"] == "test"]
    assert ["Succeeded"] == [each["status"]["phase"] for each in tested]
