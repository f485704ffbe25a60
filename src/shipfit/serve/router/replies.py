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
            {
                "filter": {
                    "status_code_filter": {
                        "comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": "unset"}}
                    }
                },
                "body_format_override": body,
            }
            for status, body in _OF_ENVOY.items()
        ]
    }
