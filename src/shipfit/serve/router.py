"""Envoy's configuration: one static file that is the whole router of a local deployment.

| request | answer |
|---|---|
| GET /health | 200 while a replica is healthy, else 503; no key needed |
| POST /v1/completions, POST /v1/chat/completions, GET /v1/models, with the key | a replica's |
| the same without the key | 401 |
| anything else | 404 |

Every error that the router itself gives has the form of the OpenAI API. Whether the ``model`` of a request is known is
left to vLLM, which answers 404 in the same form. A request goes to the replica with the fewest in flight; one that
a dying or draining replica drops before the first byte of its answer goes to another. Answers are never buffered or
timed.

Field names and meanings: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PUBLIC = {
    "/v1/completions": "POST",
    "/v1/chat/completions": "POST",
    "/v1/models": "GET",
}
"""What passes to the replicas: path and method. vLLM serves much else (metrics, LoRA loading, tokenizing)."""

MAX_REQUEST_BYTES = 16 * 2**20
"""Largest request body: several times the text of a million tokens of context."""

HEALTH_INTERVAL_S = 1
ADMIN_SOCKET = "router.sock"
"""Envoy's administration, a socket in the deployment's folder: never a port."""

_CLUSTER = "replicas"
_HTTP_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_UNLIMITED = (
    1_000_000  # vLLM queues by itself; Envoy's defaults (1024 in flight, 3 retries) would refuse a burst
)
_RETRIES = 3
_DRAWS = 200  # for a retry, until another replica is drawn; with two of them one draw in 16 is
_ERRORS = {
    400: ("the request is malformed", "invalid_request_error", "bad_request"),
    401: (
        "the API key is missing or wrong: send it as `Authorization: Bearer KEY`",
        "invalid_request_error",
        "invalid_api_key",
    ),
    404: (
        f"there is no such path here: {', '.join(f'{method} {path}' for path, method in PUBLIC.items())}",
        "invalid_request_error",
        "unknown_url",
    ),
    413: (
        f"the request body is larger than {MAX_REQUEST_BYTES} bytes",
        "invalid_request_error",
        "request_too_large",
    ),
    503: ("no replica can take the request now; try again", "server_error", "service_unavailable"),
}


@dataclass(frozen=True)
class RouterSettings:
    """What the configuration depends on.

    Attributes:
        port: the public port, on loopback.
        api_key: what clients must send.
        replicas: the replicas' Unix sockets, seen from the folder that Envoy runs in.
    """

    port: int
    api_key: str
    replicas: Sequence[str]


def render(settings: RouterSettings) -> str:
    """The configuration as JSON. It holds the API key: keep the file private."""
    config = {
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        "static_resources": {"listeners": [_listener(settings)], "clusters": [_cluster(settings.replicas)]},
    }
    return json.dumps(config, indent=2) + "\n"


def _listener(settings: RouterSettings) -> dict[str, Any]:
    manager = {
        "stat_prefix": "public",
        "codec_type": "AUTO",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "0s",  # a long prompt may keep an answer waiting for minutes
        "generate_request_id": True,
        "access_log": [_access_log()],
        "local_reply_config": _local_replies(),
        "http_filters": [_health(), _body_limit(), _filter("router.v3.Router")],
        "route_config": {
            "name": "public",
            "virtual_hosts": [{"name": "public", "domains": ["*"], "routes": _routes(settings.api_key)}],
        },
    }
    network = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    return {
        "name": "public",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": settings.port}},
        "enable_reuse_port": False,  # else a second router could listen on the same port without a word
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "http",
                        "typed_config": {"@type": f"{network}.HttpConnectionManager", **manager},
                    }
                ]
            }
        ],
    }


def _routes(api_key: str) -> list[dict[str, Any]]:
    """With the key to a replica; the same paths without it 401; all else 404. The first match counts."""
    key = {"name": "authorization", "string_match": {"exact": f"Bearer {api_key}"}}
    return [
        *({"match": _match(path, key), **_to_a_replica()} for path in PUBLIC),
        *({"match": _match(path), **_refuse(401)} for path in PUBLIC),
        {"match": {"prefix": "/"}, **_refuse(404)},
    ]


def _match(path: str, *headers: dict[str, Any]) -> dict[str, Any]:
    method = {"name": ":method", "string_match": {"exact": PUBLIC[path]}}
    return {"path": path, "headers": [method, *headers]}


def _to_a_replica() -> dict[str, Any]:
    previous = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "request_headers_to_remove": ["authorization"],
        "route": {
            "cluster": _CLUSTER,
            "timeout": "0s",
            "retry_policy": {
                # 500 and 503 before the first byte: what a draining vLLM answers to new requests.
                "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
                "retriable_status_codes": [500, 503],
                "num_retries": _RETRIES,
                "retry_host_predicate": [{"name": "previous_hosts", "typed_config": {"@type": previous}}],
                "host_selection_retry_max_attempts": _DRAWS,
            },
        },
    }


def _refuse(status: int) -> dict[str, Any]:
    """At once, without waiting for the request's body."""
    no_buffer = {"@type": f"{_HTTP_FILTERS}.buffer.v3.BufferPerRoute", "disabled": True}
    return {
        "direct_response": {"status": status},
        "typed_per_filter_config": {"buffer.v3.Buffer": no_buffer},
    }


def _filter(kind: str, **settings: Any) -> dict[str, Any]:
    return {
        "name": kind,
        "typed_config": {"@type": f"{_HTTP_FILTERS}.{kind}", **settings},
    }


def _health() -> dict[str, Any]:
    return _filter(
        "health_check.v3.HealthCheck",
        pass_through_mode=False,
        cluster_min_healthy_percentages={_CLUSTER: {"value": 1}},
        headers=[{"name": ":path", "string_match": {"exact": "/health"}}],
    )


def _body_limit() -> dict[str, Any]:
    """Holds a request until it is whole: what is retried elsewhere must be whole, and what is too large is refused."""
    return _filter("buffer.v3.Buffer", max_request_bytes=MAX_REQUEST_BYTES)


def _local_replies() -> dict[str, Any]:
    return {
        "mappers": [
            {
                "filter": {
                    "status_code_filter": {
                        "comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": "unset"}}
                    }
                },
                "body_format_override": {
                    "json_format": {
                        "error": {"message": message, "type": kind, "param": None, "code": code},
                    }
                },
            }
            for status, (message, kind, code) in _ERRORS.items()
        ]
    }


def _access_log() -> dict[str, Any]:
    line = (
        "%START_TIME% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS%"
        " in=%BYTES_RECEIVED% out=%BYTES_SENT% ms=%DURATION% replica=%UPSTREAM_HOST%"
        " attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% id=%REQ(X-REQUEST-ID)%\n"
    )
    return {
        "name": "stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string": line}},
        },
    }


def _cluster(replicas: Sequence[str]) -> dict[str, Any]:
    limit = dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), _UNLIMITED
    )
    return {
        "name": _CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_balancing_policy": {"policies": [{"typed_extension_config": _least_request()}]},
        # Without this, requests go to replicas known to be down once half of them are.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [limit]},
        "health_checks": [
            {
                "timeout": "5s",  # a replica that shares its cores with others answers late, and lives
                "interval": f"{HEALTH_INTERVAL_S}s",
                "no_traffic_interval": f"{HEALTH_INTERVAL_S}s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/health"},
            }
        ],
        "load_assignment": {
            "cluster_name": _CLUSTER,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path}}}} for path in replicas]}
            ],
        },
    }


def _least_request() -> dict[str, Any]:
    """The least busy of four draws: a scan of all would give a retry the replica that just died, idle as it is."""
    return {
        "name": "least_request",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
            "choice_count": 4,
        },
    }
