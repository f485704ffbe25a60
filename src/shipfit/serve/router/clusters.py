"""Replicas as Envoy sees them: where they are, which of them live, which of them takes a request."""

from __future__ import annotations

from typing import Any

from shipfit.serve.router.settings import RoutedModel, Service

HEALTH_INTERVAL_S = 1
DNS_REFRESH_S = 1
"""How often a Service's name is resolved; what its resolver has cached lives as long besides (CoreDNS: 5 s)."""

ADMIN = "admin"
_UNLIMITED = (
    1_000_000  # vLLM queues by itself; Envoy's defaults (1024 in flight, 3 retries) would refuse a burst
)


def replicas(model: RoutedModel) -> dict[str, Any]:
    """The replicas of a model."""
    limit = dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), _UNLIMITED
    )
    service = isinstance(model.replicas, Service)
    return {
        "name": model.cluster,
        **(_found_by_name() if service else {"type": "STATIC"}),
        "connect_timeout": "1s",
        "load_balancing_policy": {"policies": [{"typed_extension_config": _least_request()}]},
        # Else requests go to replicas known to be down once half of them are. Behind a name stand those alone that
        # their nodes found ready, so where none has passed a check here yet, as in a change of all, any may be tried.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1 if service else 0}},
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
        "load_assignment": _assignment(model),
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


def _assignment(model: RoutedModel) -> dict[str, Any]:
    if isinstance(model.replicas, Service):
        host = {"address": model.replicas.host, "port_value": model.replicas.port}
        addresses: list[dict[str, Any]] = [{"socket_address": host}]
    else:
        addresses = [loopback(path) for path in model.replicas]
    endpoints = [{"endpoint": {"address": address}} for address in addresses]
    return {"cluster_name": model.cluster, "endpoints": [{"lb_endpoints": endpoints}]}


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
