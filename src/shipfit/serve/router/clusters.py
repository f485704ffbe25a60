"""Replicas as Envoy sees them: where they are, which of them live, which of them takes a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipfit.serve.router.settings import Canary, RoutedModel, Service

HEALTH_INTERVAL_S = 1
DNS_REFRESH_S = 1
"""How often a Service's name is resolved; what its resolver has cached lives as long besides (CoreDNS: 5 s)."""

ADMIN = "admin"
LIMIT = 1_000_000
"""Of requests and retries: vLLM queues by itself; Envoy's defaults (1024 in flight, 3 retries) would refuse a burst."""

_UNLIMITED = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), LIMIT)


def of_model(model: RoutedModel) -> list[dict[str, Any]]:
    """All that a model needs: its replicas, its canary's, and the place where requests wait."""
    # Who is compared is counted replica by replica, tries that are repeated elsewhere included.
    found = [_replicas(model.cluster, model.replicas, counted=bool(model.canary), wakes=model.wakes)]
    if model.canary:
        canary = model.canary.replicas
        found.append(_replicas(canary.cluster, canary, counted=True))
        found.append(_canary_first(model.canary, model))
    if model.wait_s:
        found.append(_gate(model))
    return found


def canary_first(canary: Canary) -> str:
    """What Envoy calls a canary's replicas with those of the present version behind them."""
    return f"{canary.replicas.cluster}-first"


def _replicas(
    name: str, place: Sequence[str] | Service, *, counted: bool = False, wakes: bool = False
) -> dict[str, Any]:
    """Some replicas.

    Args:
        place: their sockets, or the name they are found by.
        counted: whether each one's requests and failures are kept.
        wakes: whether requests can wait for the first one, so that none needs to be tried before it is known to live.
    """
    service = isinstance(place, Service)
    return {
        "name": name,
        **(_found_by_name() if service else {"type": "STATIC"}),
        "connect_timeout": "1s",
        "load_balancing_policy": {"policies": [{"typed_extension_config": _least_request()}]},
        # Else requests go to replicas known to be down once half of them are. Behind a name stand those alone that
        # their nodes found ready, so where none has passed a check here yet, as in a change of all, any may be tried.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1 if service and not wakes else 0}},
        "circuit_breakers": {"thresholds": [_UNLIMITED]},
        **({"track_cluster_stats": {"per_endpoint_stats": True}} if counted else {}),
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
        "load_assignment": _assignment(name, place),
    }


def _canary_first(canary: Canary, model: RoutedModel) -> dict[str, Any]:
    """What a canary drops before the first byte of its answer goes to the present version; all where it is down."""
    return {
        "name": canary_first(canary),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": [canary.replicas.cluster, model.cluster],
            },
        },
        "circuit_breakers": {"thresholds": [_UNLIMITED]},
    }


def _gate(model: RoutedModel) -> dict[str, Any]:
    """Leads to the model's listener inside this Envoy; its limit of retries is counted down while requests wait."""
    address = {"envoy_internal_address": {"server_listener_name": model.gate}}
    return {
        "name": model.gate,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [{**_UNLIMITED, "track_remaining": True}]},
        "load_assignment": {
            "cluster_name": model.gate,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def admin(place: str | int) -> dict[str, Any]:
    """Envoy's own administration, for its statistics.

    Args:
        place: a socket, or a port on loopback.
    """
    endpoint = {"endpoint": {"address": loopback(place)}}
    return {
        "name": ADMIN,
        "type": "STATIC",
        "load_assignment": {"cluster_name": ADMIN, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def loopback(place: str | int) -> dict[str, Any]:
    """The address of a Unix socket, or of a port on loopback."""
    if isinstance(place, str):
        return {"pipe": {"path": place}}
    return {"socket_address": {"address": "127.0.0.1", "port_value": place}}


def _assignment(name: str, place: Sequence[str] | Service) -> dict[str, Any]:
    if isinstance(place, Service):
        host = {"address": place.host, "port_value": place.port}
        addresses: list[dict[str, Any]] = [{"socket_address": host}]
    else:
        addresses = [loopback(path) for path in place]
    endpoints = [{"endpoint": {"address": address}} for address in addresses]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def _found_by_name() -> dict[str, Any]:
    refresh = f"{DNS_REFRESH_S}s"
    return {
        "cluster_type": {
            "name": "envoy.clusters.dns",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
                "dns_refresh_rate": refresh,
                "dns_failure_refresh_rate": {"base_interval": refresh, "max_interval": refresh},
                "dns_lookup_family": "V4_PREFERRED",
            },
        },
        # A replica that is about to end leaves the name first, and still answers its health check: Envoy would keep it.
        "ignore_health_on_host_removal": True,
        # A node that dies says nothing: without this, what waits for its answer waits for ever.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 10, "keepalive_interval": 5, "keepalive_probes": 3}
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
