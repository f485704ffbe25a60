from __future__ import annotations

import json
from typing import Any

from shipfit.serve.router import PUBLIC, RouterSettings, render

CONFIG: dict[str, Any] = json.loads(
    render(RouterSettings(8123, "sk-key", ["replica-0.sock", "replica-1.sock"]))
)
LISTENER = CONFIG["static_resources"]["listeners"][0]
MANAGER = LISTENER["filter_chains"][0]["filters"][0]["typed_config"]
ROUTES = MANAGER["route_config"]["virtual_hosts"][0]["routes"]
CLUSTER = CONFIG["static_resources"]["clusters"][0]


def test_it_listens_on_loopback_alone_and_is_administered_by_a_socket() -> None:
    assert {"address": "127.0.0.1", "port_value": 8123} == LISTENER["address"]["socket_address"]
    assert {"pipe": {"path": "router.sock", "mode": 0o600}} == CONFIG["admin"]["address"]


def test_every_way_to_a_replica_asks_for_the_key() -> None:
    for route in ROUTES:
        headers = {each["name"]: each["string_match"]["exact"] for each in route["match"].get("headers", [])}
        if "route" in route:
            assert {":method": PUBLIC[route["match"]["path"]], "authorization": "Bearer sk-key"} == headers
            assert ["authorization"] == route["request_headers_to_remove"]
        else:
            assert "sk-key" not in json.dumps(route)
    assert {"prefix": "/"} == ROUTES[-1]["match"]
    assert 404 == ROUTES[-1]["direct_response"]["status"]


def test_answers_are_not_timed_and_requests_are_tried_elsewhere() -> None:
    assert "0s" == MANAGER["stream_idle_timeout"]
    for route in (each["route"] for each in ROUTES if "route" in each):
        assert "0s" == route["timeout"]
        assert [500, 503] == route["retry_policy"]["retriable_status_codes"]
        assert "reset" in route["retry_policy"]["retry_on"].split(",")


def test_every_replica_is_an_endpoint() -> None:
    (locality,) = CLUSTER["load_assignment"]["endpoints"]
    paths = [each["endpoint"]["address"]["pipe"]["path"] for each in locality["lb_endpoints"]]
    assert ["replica-0.sock", "replica-1.sock"] == paths


def test_its_own_errors_have_the_form_of_the_openai_api() -> None:
    for mapper in MANAGER["local_reply_config"]["mappers"]:
        error = mapper["body_format_override"]["json_format"]["error"]
        assert {"message", "type", "param", "code"} == error.keys()
