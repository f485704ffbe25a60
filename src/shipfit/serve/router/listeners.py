"""What the router answers on: the public port, and one for Prometheus and the node's probes."""

from __future__ import annotations

from typing import Any

from shipfit.serve.router.clusters import ADMIN
from shipfit.serve.router.replies import MAX_REQUEST_BYTES, local_replies, no_replica_yet, status_is
from shipfit.serve.router.routes import BUFFER, METADATA, MODEL_READER, gate_config, route_config
from shipfit.serve.router.settings import RoutedModel, RouterSettings

_HTTP_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_STATISTICS = "/stats/prometheus"
_INTERNAL = "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"

INSIDE = {"name": "envoy.bootstrap.internal_listener", "typed_config": {"@type": _INTERNAL}}
"""What lets Envoy have listeners that only itself reaches, without a port."""


def public(settings: RouterSettings) -> dict[str, Any]:
    """For clients."""
    # One of several without replicas must not take the address from the others, nor one that a request wakes.
    needed = {} if settings.by_name else {model.cluster: {"value": 1} for model in settings.models}
    return _listener(
        "public",
        _at(settings.address, settings.port),
        {
            "normalize_path": True,
            "merge_slashes": True,
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            "stream_idle_timeout": "0s",  # a long prompt may keep an answer waiting for minutes
            "generate_request_id": True,
            "access_log": [_access_log()],
            "local_reply_config": local_replies(),
            "http_filters": [
                _health("/health", cluster_min_healthy_percentages=needed),
                _whole(),
                *([_model_reader()] if settings.by_name else []),
                _filter("router.v3.Router"),
            ],
            "route_config": route_config(settings),
        },
    )


def metrics(settings: RouterSettings, port: int) -> dict[str, Any]:
    """For Prometheus and a node's probes: nothing else of Envoy's administration passes."""
    get = [{"name": ":method", "string_match": {"exact": "GET"}}]
    routes = [
        {"match": {"path": "/livez"}, "direct_response": {"status": 200}},
        {"match": {"path": _STATISTICS, "headers": get}, "route": {"cluster": ADMIN}},
        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
    ]
    return _listener(
        "metrics",
        _at(settings.address, port),
        {
            "http_filters": [_health("/readyz"), _filter("router.v3.Router")],
            "route_config": {
                "name": "metrics",
                "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": routes}],
            },
        },
    )


def gate(model: RoutedModel) -> dict[str, Any]:
    """Inside this Envoy, before the replicas of a model: where it has none, it says so in a way that is asked again."""
    return _listener(
        model.gate,
        {"internal_listener": {}},
        {
            "stream_idle_timeout": "0s",
            # Which replica answered; not each second of waiting.
            "access_log": [_access_log() | {"filter": status_is("NE", 503)}],
            "local_reply_config": no_replica_yet(),
            "http_filters": [_whole(), _filter("router.v3.Router")],
            "route_config": gate_config(model),
        },
    )


def _at(address: str, port: int) -> dict[str, Any]:
    return {
        "address": {"socket_address": {"address": address, "port_value": port}},
        "enable_reuse_port": False,  # else a second router could listen on the same port without a word
    }


def _whole() -> dict[str, Any]:
    """What is retried elsewhere must be whole."""
    return _filter(BUFFER, max_request_bytes=MAX_REQUEST_BYTES)


def _listener(name: str, place: dict[str, Any], manager: dict[str, Any]) -> dict[str, Any]:
    network = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    typed = {
        "@type": f"{network}.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "request_headers_timeout": "10s",
        **manager,
    }
    return {
        "name": name,
        **place,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": typed}]}],
    }


def _filter(kind: str, **settings: Any) -> dict[str, Any]:
    return {
        "name": kind,
        "typed_config": {"@type": f"{_HTTP_FILTERS}.{kind}", **settings},
    }


def _health(path: str, **settings: Any) -> dict[str, Any]:
    """200, and 503 from the moment that the router is told to fail it (POST /healthcheck/fail)."""
    return _filter(
        "health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": path}}],
        **settings,
    )


def _model_reader() -> dict[str, Any]:
    kept = {"metadata_namespace": METADATA, "key": "model", "type": "STRING"}
    return _filter(
        MODEL_READER,
        request_rules={
            "allow_content_types_regex": {"regex": "application/json.*"},
            "rules": [{"selectors": [{"key": "model"}], "on_present": kept}],
        },
    )


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
