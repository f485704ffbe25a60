"""Envoy's configuration: one static file that is the whole router of a deployment, on this machine or in a cluster.

| request | answer |
|---|---|
| GET /health | 200 while a replica is healthy and until the router drains, else 503; no key needed |
| POST /v1/completions, POST /v1/chat/completions, GET /v1/models, with a key | a replica's |
| the same without a key | 401 |
| anything else | 404 |

With several models, a request goes to the replicas of the one that its body names, the router itself lists them, and
/health is about the router alone. With one, whether the ``model`` of a request is known is left to vLLM, which answers
404 in the same form. Every error that the router itself gives has the form of the OpenAI API. A request goes to the
replica with the fewest in flight; one that a dying or draining replica drops before the first byte of its answer goes
to another. Answers are never buffered or timed.

A canary gets its share of a model's requests, and hurts nobody where it can be helped: what it drops or fails (500,
503) before the first byte goes to the present version, and all of it where the canary is down.

Where no replica is known, a request can wait until one is: it goes through a listener inside this Envoy, which says
that none is there, and is asked again each second; after ``wait_s`` the answer is 503. A client that gives up ends
that. A single replica too is unknown for a moment where the cluster's DNS leaves it out. Of a model that a request
wakes, the router reads the names and lists them as of several, and /health is about the router alone, or nobody would
ever ask.

On the port for metrics, GET /stats/prometheus passes on Envoy's statistics, GET /livez is 200 while it answers at all,
and GET /readyz until it is told to drain.

Field names and meanings: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api
"""

from __future__ import annotations

import json

from shipfit.serve.router import clusters, listeners
from shipfit.serve.router.replies import MAX_REQUEST_BYTES, PUBLIC
from shipfit.serve.router.settings import ADMIN_SOCKET, Canary, RoutedModel, RouterSettings, Service

__all__ = [
    "ADMIN_SOCKET",
    "MAX_REQUEST_BYTES",
    "PUBLIC",
    "Canary",
    "RoutedModel",
    "RouterSettings",
    "Service",
    "render",
]


def render(settings: RouterSettings) -> str:
    """The configuration as JSON. It holds the API keys: keep the file private."""
    port = settings.metrics_port
    admin = clusters.loopback(settings.admin)
    if "pipe" in admin:
        admin["pipe"]["mode"] = 0o600
    waited = [model for model in settings.models if model.wait_s]
    config = {
        **({"bootstrap_extensions": [listeners.INSIDE]} if waited else {}),
        "admin": {"address": admin},
        "static_resources": {
            "listeners": [
                listeners.public(settings),
                *([listeners.metrics(settings, port)] if port else []),
                *(listeners.gate(model) for model in waited),
            ],
            "clusters": [
                *(each for model in settings.models for each in clusters.of_model(model)),
                *([clusters.admin(settings.admin)] if port else []),
            ],
        },
    }
    return json.dumps(config, indent=2) + "\n"
