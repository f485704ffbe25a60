"""Several models behind one address, and what does not belong there."""

from __future__ import annotations

import httpx
import pytest

from shipfit.serve.router import MAX_REQUEST_BYTES
from tests.integration.serve.envoy import Loopback, Router

pytestmark = pytest.mark.integration


@pytest.fixture
def router(loopback: Loopback) -> Router:
    loopback.names.addresses = {
        f"{model}.llm.svc": [loopback.replica(number).address]
        for number, model in enumerate(("gemma", "llama"), start=2)
    }
    return loopback.router("gemma", "llama")


def test_the_body_chooses_the_model(router: Router) -> None:
    assert {"127.0.0.2"} == set(router.replicas(4, "gemma"))
    assert {"127.0.0.3"} == set(router.replicas(4, "llama"))
    with router.client() as client:
        answer = client.post(
            "/v1/completions",
            content=b'{"prompt": "1 0", "model": "llama"}',
            headers={"content-type": "application/json; charset=utf-8"},
        )
    assert "127.0.0.3" == answer.json()["replica"]


@pytest.mark.parametrize("body", [b'{"model": "other", "prompt": "1 0"}', b'{"prompt": "1 0"}', b"{no json"])
def test_another_model_is_refused_as_by_openai(router: Router, body: bytes) -> None:
    with router.client() as client:
        answer = client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
    assert 404 == answer.status_code
    assert "model_not_found" == answer.json()["error"]["code"]
    assert "application/json" == answer.headers["content-type"]


def test_all_models_are_listed(router: Router) -> None:
    with router.client() as client:
        answer = client.get("/v1/models")
    assert ["gemma", "llama"] == [each["id"] for each in answer.json()["data"]]
    assert "application/json" == answer.headers["content-type"]


def test_each_key_is_good_and_no_other(router: Router) -> None:
    for key, status in (("sk-one", 200), ("sk-two", 200), ("sk-three", 401), ("sk-on", 401)):
        with router.client(key) as client:
            assert status == client.get("/v1/models").status_code
            body = {"model": "gemma", "prompt": "1 0"}
            answer = client.post("/v1/completions", json=body)
            assert status == answer.status_code
    assert "invalid_api_key" == answer.json()["error"]["code"]


def test_what_is_too_large_or_unknown_is_refused(router: Router) -> None:
    with router.client() as client:
        large = client.post("/v1/completions", content=b" " * (MAX_REQUEST_BYTES + 1))
        assert (413, "request_too_large") == (large.status_code, large.json()["error"]["code"])
        for path in ("/metrics", "/v1/load_lora_adapter", "/stats/prometheus", "/readyz"):
            unknown = client.get(path)
            assert (404, "unknown_url") == (unknown.status_code, unknown.json()["error"]["code"])


def test_prometheus_sees_statistics_and_nothing_else_of_envoy(router: Router) -> None:
    router.replicas(3, "llama")
    statistics = router.statistics()
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="llama"} 3' in statistics
    for path in ("/config_dump", "/stats", "/stats/prometheus/../../config_dump", "/"):
        assert 404 == httpx.get(f"{router.metrics}{path}").status_code
    for path in ("/quitquitquit", "/healthcheck/fail", "/stats/prometheus"):
        assert 404 == httpx.post(f"{router.metrics}{path}").status_code
    assert 200 == router.status("livez")
