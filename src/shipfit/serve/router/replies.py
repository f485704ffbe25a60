"""The errors that the router itself gives, in the form of the OpenAI API."""

from __future__ import annotations

from typing import Any

PUBLIC = {
    "/v1/completions": "POST",
    "/v1/chat/completions": "POST",
    "/v1/models": "GET",
}
"""What passes to the replicas: path and method. vLLM serves much else (metrics, LoRA loading, tokenizing)."""

MAX_REQUEST_BYTES = 16 * 2**20
"""Largest request body: several times the text of a million tokens of context."""

WAITS = "x-envoy-ratelimited"
"""The header by which Envoy knows an answer that only says to ask again later
(https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter)."""

_INVALID = "invalid_request_error"


def _error(message: str, kind: str, code: str) -> dict[str, Any]:
    return {"json_format": {"error": {"message": message, "type": kind, "param": None, "code": code}}}


KEY_MISSING = _error(
    "the API key is missing or wrong: send it as `Authorization: Bearer KEY`", _INVALID, "invalid_api_key"
)
PATH_UNKNOWN = _error(
    f"there is no such path here: {', '.join(f'{method} {path}' for path, method in PUBLIC.items())}",
    _INVALID,
    "unknown_url",
)
MODEL_UNKNOWN = _error(
    "the request names no model that is served here: GET /v1/models lists them", _INVALID, "model_not_found"
)

_OF_ENVOY = {
    400: _error("the request is malformed", _INVALID, "bad_request"),
    413: _error(f"the request body is larger than {MAX_REQUEST_BYTES} bytes", _INVALID, "request_too_large"),
    503: _error("no replica can take the request now; try again", "server_error", "service_unavailable"),
}


def local_replies() -> dict[str, Any]:
    """For what Envoy refuses by itself, by status."""
    return {
        "mappers": [
            {"filter": status_is("EQ", status), "body_format_override": body}
            for status, body in _OF_ENVOY.items()
        ]
    }


def no_replica_yet() -> dict[str, Any]:
    """That a model has no replica (UH in Envoy's words), with how long to wait before the request comes again."""
    headers = {"retry-after": "1", WAITS: "true"}
    return {
        "mappers": [
            {
                "filter": {"response_flag_filter": {"flags": ["UH"]}},
                "body_format_override": _OF_ENVOY[503],
                "headers_to_add": [
                    {"header": {"key": key, "value": value}} for key, value in headers.items()
                ],
            }
        ]
    }


def status_is(comparison: str, status: int) -> dict[str, Any]:
    """A filter of answers: ``EQ`` or ``NE`` to a status."""
    value = {"default_value": status, "runtime_key": "unset"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}
