"""Which request goes where. The first match counts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from shipfit.serve.router.clusters import canary_first
from shipfit.serve.router.replies import KEY_MISSING, MODEL_UNKNOWN, PATH_UNKNOWN, PUBLIC, WAITS
from shipfit.serve.router.settings import RoutedModel, RouterSettings

BUFFER = "buffer.v3.Buffer"
MODEL_READER = "json_to_metadata.v3.JsonToMetadata"
METADATA = "shipfit"
"""Where the ``model`` of a request is kept for the routes."""

_MODELS = "/v1/models"
_RETRIES = 3
_DRAWS = 200  # for a retry, until another replica is drawn; with two of them one draw in 16 is
_WAIT_S = (
    1.25  # between two tries: the second that ``retry-after`` says, and up to half of it that Envoy adds
)
_MAX_LIST_BYTES = 2**20  # of the list of models; Envoy's default is 4096


def route_config(settings: RouterSettings) -> dict[str, Any]:
    """With a key to a replica; the same paths without one 401; all else 404."""
    of_models = _by_name if settings.by_name else _one_model
    keys: Sequence[str | None] = settings.api_keys or [None]
    routes = [
        *(route for key in keys for route in of_models(settings, key)),
        *({"match": _match(path), **_refuse(401, KEY_MISSING)} for path in PUBLIC),
        {"match": {"prefix": "/"}, **_refuse(404, PATH_UNKNOWN)},
    ]
    return {
        "name": "public",
        "max_direct_response_body_size_bytes": _MAX_LIST_BYTES,
        "virtual_hosts": [{"name": "public", "domains": ["*"], "routes": routes}],
    }


def _one_model(settings: RouterSettings, key: str | None) -> list[dict[str, Any]]:
    """Its replicas list it, and know what to say of another name."""
    (model,) = settings.models
    return [{"match": _match(path, key), **_to(model)} for path in PUBLIC]


def _by_name(settings: RouterSettings, key: str | None) -> list[dict[str, Any]]:
    """The body is read before the last route is chosen, so the refusal must not do without it."""
    paths = [path for path in PUBLIC if path != _MODELS]
    return [
        {"match": _match(_MODELS, key), **_list_models(settings)},
        *(
            {"match": {**_match(path, key), "dynamic_metadata": [_named(model)]}, **_to(model)}
            for path in paths
            for model in settings.models
        ),
        *(
            {"match": _match(path, key), "direct_response": {"status": 404, "body_format": MODEL_UNKNOWN}}
            for path in paths
        ),
    ]


def _match(path: str, key: str | None = None) -> dict[str, Any]:
    headers = {":method": PUBLIC[path]} | ({"authorization": f"Bearer {key}"} if key else {})
    return {
        "path": path,
        "headers": [{"name": name, "string_match": {"exact": value}} for name, value in headers.items()],
    }


def _named(model: RoutedModel) -> dict[str, Any]:
    return {
        "filter": METADATA,
        "path": [{"key": "model"}],
        "value": {"string_match": {"exact": model.name}},
    }


def gate_config(model: RoutedModel) -> dict[str, Any]:
    """Of a model's listener inside this Envoy: all to a replica."""
    routes = [{"match": {"prefix": "/"}, "route": _to_a_replica(model)}]
    return {
        "name": model.gate,
        "virtual_hosts": [{"name": model.gate, "domains": ["*"], "routes": routes}],
    }


def _to(model: RoutedModel) -> dict[str, Any]:
    route = {"request_headers_to_remove": ["authorization"]}
    if not model.wait_s:
        return {**route, "route": _to_a_replica(model)}
    return {**route, "response_headers_to_remove": [WAITS], "route": _until_one_is_there(model)}


def _to_a_replica(model: RoutedModel) -> dict[str, Any]:
    previous = "type.googleapis.com/envoy.extensions.retry"
    canary = model.canary
    shares = [(model.cluster, 100 - canary.percent), (canary_first(canary), canary.percent)] if canary else []
    weighted = {"clusters": [{"name": name, "weight": share} for name, share in shares]}
    to_other_version = {
        "name": "previous_priorities",
        "typed_config": {
            "@type": f"{previous}.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            "update_frequency": 1,
        },
    }
    return {
        **({"weighted_clusters": weighted} if canary else {"cluster": model.cluster}),
        "timeout": "0s",
        "retry_policy": {
            # 500 and 503 before the first byte: what a draining vLLM answers to new requests.
            "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
            "retriable_status_codes": [500, 503],
            "num_retries": _RETRIES,
            "retry_host_predicate": [
                {
                    "name": "previous_hosts",
                    "typed_config": {"@type": f"{previous}.host.previous_hosts.v3.PreviousHostsPredicate"},
                }
            ],
            "host_selection_retry_max_attempts": _DRAWS,
            **({"retry_priority": to_other_version} if canary else {}),
        },
    }


def _until_one_is_there(model: RoutedModel) -> dict[str, Any]:
    """Asks again, second by second, as long as the model's own listener says that there is no replica.

    Only that is repeated here: what a replica fails is repeated there, and a few times only.
    """
    return {
        "cluster": model.gate,
        "timeout": "0s",
        "retry_policy": {
            "retry_on": "envoy-ratelimited",
            "num_retries": math.ceil(model.wait_s / _WAIT_S),
            "rate_limited_retry_back_off": {
                "reset_headers": [{"name": "retry-after", "format": "SECONDS"}],
                "max_interval": "2s",
            },
        },
    }


def _list_models(settings: RouterSettings) -> dict[str, Any]:
    entries = [
        {"id": model.name, "object": "model", "created": 0, "owned_by": "vllm"} for model in settings.models
    ]
    body = json.dumps({"object": "list", "data": entries})
    content_type = {"header": {"key": "content-type", "value": "application/json"}}
    return {
        "direct_response": {"status": 200, "body": {"inline_string": body}},
        "response_headers_to_add": [{**content_type, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }


def _refuse(status: int, body: dict[str, Any]) -> dict[str, Any]:
    """At once, without waiting for the request's body."""
    off = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
    return {
        "direct_response": {"status": status, "body_format": body},
        "typed_per_filter_config": dict.fromkeys((BUFFER, MODEL_READER), off),
    }
