from __future__ import annotations

import json
from typing import Any

from shipfit.serve.router import PUBLIC, Canary, RoutedModel, RouterSettings, Service, render

CONFIG: dict[str, Any] = json.loads(
    render(RouterSettings(8123, ["sk-key"], [RoutedModel("gemma", ["replica-0.sock", "replica-1.sock"])]))
)
SEVERAL: dict[str, Any] = json.loads(
    render(
        RouterSettings(
            8080,
            ["sk-old", "sk-new"],
            [
                RoutedModel("llama-3.3-70b", Service("chat-llama.llm.svc", 8000)),
                RoutedModel("gemma", Service("chat-gemma.llm.svc", 8001)),
            ],
            address="0.0.0.0",
            admin=9901,
            metrics_port=9902,
        )
    )
)
CANARY = Canary(Service("chat-main-canary.llm.svc", 8000), 10)
WAKING: dict[str, Any] = json.loads(
    render(
        RouterSettings(
            8080,
            [],
            [RoutedModel("llama", Service("chat-main.llm.svc", 8000), CANARY, 600, wakes=True)],
            metrics_port=9902,
        )
    )
)


def manager(config: dict[str, Any], number: int = 0) -> dict[str, Any]:
    listener = config["static_resources"]["listeners"][number]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def routes(config: dict[str, Any], number: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manager(config, number)["route_config"]["virtual_hosts"][0]["routes"]
    return found


def headers(route: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["string_match"]["exact"] for each in route["match"].get("headers", [])}


def errors(config: dict[str, Any]) -> list[dict[str, Any]]:
    own = [each["direct_response"].get("body_format") for each in routes(config) if "direct_response" in each]
    envoys = [mapper["body_format_override"] for mapper in manager(config)["local_reply_config"]["mappers"]]
    return [body["json_format"]["error"] for body in [*own, *envoys] if body]


def test_it_listens_on_loopback_alone_and_is_administered_by_a_socket() -> None:
    (listener,) = CONFIG["static_resources"]["listeners"]
    assert {"address": "127.0.0.1", "port_value": 8123} == listener["address"]["socket_address"]
    assert {"pipe": {"path": "router.sock", "mode": 0o600}} == CONFIG["admin"]["address"]
    assert "127.0.0.1" == SEVERAL["admin"]["address"]["socket_address"]["address"]


def test_every_way_to_a_replica_asks_for_the_key() -> None:
    for route in routes(CONFIG):
        if "route" in route:
            assert {":method": PUBLIC[route["match"]["path"]], "authorization": "Bearer sk-key"} == headers(
                route
            )
            assert ["authorization"] == route["request_headers_to_remove"]
        else:
            assert "sk-key" not in json.dumps(route)
    assert {"prefix": "/"} == routes(CONFIG)[-1]["match"]
    assert 404 == routes(CONFIG)[-1]["direct_response"]["status"]


def test_answers_are_not_timed_and_requests_are_tried_elsewhere() -> None:
    for config in (CONFIG, SEVERAL):
        assert "0s" == manager(config)["stream_idle_timeout"]
        for route in (each["route"] for each in routes(config) if "route" in each):
            assert "0s" == route["timeout"]
            assert [500, 503] == route["retry_policy"]["retriable_status_codes"]
            assert "reset" in route["retry_policy"]["retry_on"].split(",")


def test_every_replica_is_an_endpoint() -> None:
    (cluster,) = CONFIG["static_resources"]["clusters"]
    (locality,) = cluster["load_assignment"]["endpoints"]
    paths = [each["endpoint"]["address"]["pipe"]["path"] for each in locality["lb_endpoints"]]
    assert ["replica-0.sock", "replica-1.sock"] == paths


def test_its_own_errors_have_the_form_of_the_openai_api() -> None:
    for config, count in ((CONFIG, 3 + 1 + 3), (SEVERAL, 3 + 1 + 4 + 3)):
        assert count == len(errors(config))
        for error in errors(config):
            assert {"message", "type", "param", "code"} == error.keys()


def test_with_several_models_each_key_reaches_each_by_its_name() -> None:
    reached = {
        (headers(route)["authorization"], route["match"]["path"], named["value"]["string_match"]["exact"]): (
            route["route"]["cluster"]
        )
        for route in routes(SEVERAL)
        for named in route["match"].get("dynamic_metadata", [])
    }
    assert {
        (f"Bearer {key}", path, name): cluster
        for key in ("sk-old", "sk-new")
        for path in ("/v1/completions", "/v1/chat/completions")
        for name, cluster in (("llama-3.3-70b", "chat-llama"), ("gemma", "chat-gemma"))
    } == reached


def test_with_several_models_the_router_lists_them_to_who_has_a_key() -> None:
    listing = [each for each in routes(SEVERAL) if each.get("direct_response", {}).get("status") == 200]
    assert ["Bearer sk-old", "Bearer sk-new"] == [headers(each)["authorization"] for each in listing]
    listed = json.loads(listing[0]["direct_response"]["body"]["inline_string"])
    assert ["llama-3.3-70b", "gemma"] == [each["id"] for each in listed["data"]]


def test_a_service_is_every_address_of_its_name_and_leaves_with_it() -> None:
    clusters = {each["name"]: each for each in SEVERAL["static_resources"]["clusters"]}
    cluster = clusters["chat-gemma"]
    ((endpoint,),) = [each["lb_endpoints"] for each in cluster["load_assignment"]["endpoints"]]
    address = endpoint["endpoint"]["address"]["socket_address"]
    assert {"address": "chat-gemma.llm.svc", "port_value": 8001} == address
    assert "envoy.clusters.dns" == cluster["cluster_type"]["name"]
    assert cluster["ignore_health_on_host_removal"]


def test_for_prometheus_nothing_passes_but_statistics() -> None:
    passed = [each["match"]["path"] for each in routes(SEVERAL, 1) if "route" in each]
    assert ["/stats/prometheus"] == passed


def test_a_canary_gets_its_share_and_the_version_beside_it_what_it_drops() -> None:
    ((route,),) = [host["routes"] for host in manager(WAKING, 2)["route_config"]["virtual_hosts"]]
    assert [("chat-main", 90), ("chat-main-canary-first", 10)] == [
        (each["name"], each["weight"]) for each in route["route"]["weighted_clusters"]["clusters"]
    ]
    assert "previous_priorities" == route["route"]["retry_policy"]["retry_priority"]["name"]
    clusters = {each["name"]: each for each in WAKING["static_resources"]["clusters"]}
    first = clusters["chat-main-canary-first"]["cluster_type"]["typed_config"]["clusters"]
    assert ["chat-main-canary", "chat-main"] == first
    for name in ("chat-main", "chat-main-canary"):  # what they are compared by
        assert clusters[name]["track_cluster_stats"]["per_endpoint_stats"]


def test_a_request_waits_for_its_time_and_only_where_there_is_no_replica() -> None:
    waits = [each["route"] for each in routes(WAKING) if "route" in each]
    assert {"chat-main-gate"} == {each["cluster"] for each in waits}
    for policy in (each["retry_policy"] for each in waits):
        assert ("envoy-ratelimited", 480) == (policy["retry_on"], policy["num_retries"])  # of 1.25 s
    (mapper,) = manager(WAKING, 2)["local_reply_config"]["mappers"]
    assert ["UH"] == mapper["filter"]["response_flag_filter"]["flags"]
