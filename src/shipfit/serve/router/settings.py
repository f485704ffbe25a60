"""What a router's configuration depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ADMIN_SOCKET = "router.sock"
"""Envoy's administration on a machine that others may use too: a socket in the deployment's folder."""


@dataclass(frozen=True)
class Service:
    """Replicas that a name stands for: each address that it resolves to is one.

    Attributes:
        host: a headless Service of Kubernetes; its first label is unique in the router.
        port: theirs.
    """

    host: str
    port: int

    @property
    def cluster(self) -> str:
        """What Envoy calls them: a name without dots, which would cut its statistics apart."""
        return self.host.partition(".")[0]


@dataclass(frozen=True)
class Canary:
    """Replicas of a new version, which get a share of a model's requests.

    Attributes:
        percent: that share, of 100.
    """

    replicas: Service
    percent: int


@dataclass(frozen=True)
class RoutedModel:
    """A model behind the router's address.

    Attributes:
        name: the ``model`` of a request.
        replicas: their Unix sockets, seen from the folder that Envoy runs in, or the name they are found by.
        canary: those of a new version beside them.
        wait_s: seconds that a request waits where no replica is known; 0: it is refused.
        wakes: whether a request is what makes the first replica come.
    """

    name: str
    replicas: Sequence[str] | Service
    canary: Canary | None = None
    wait_s: int = 0
    wakes: bool = False

    @property
    def cluster(self) -> str:
        """What Envoy calls the replicas, in its statistics too."""
        return self.replicas.cluster if isinstance(self.replicas, Service) else "replicas"

    @property
    def gate(self) -> str:
        """What Envoy calls the place where requests wait for a first replica."""
        return f"{self.cluster}-gate"


@dataclass(frozen=True)
class RouterSettings:
    """What the configuration depends on.

    Attributes:
        port: the public port.
        api_keys: clients must send one of them; with none, nobody is asked for one.
        models: those that are served; with several, the ``model`` of a request chooses.
        address: where the router listens.
        admin: Envoy's administration: a socket in the folder that Envoy runs in, or a port on loopback.
        metrics_port: for Prometheus and the node's probes; None where nobody asks.
    """

    port: int
    api_keys: Sequence[str]
    models: Sequence[RoutedModel]
    address: str = "127.0.0.1"
    admin: str | int = ADMIN_SOCKET
    metrics_port: int | None = None

    @property
    def by_name(self) -> bool:
        """Whether the router itself reads which model a request names: a wrong name, or the list, wakes no model."""
        return len(self.models) > 1 or any(model.wakes for model in self.models)
