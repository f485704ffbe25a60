"""A real Envoy in front of servers that can be made to fail, which it finds by a name server of the test's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from shipfit.environments import ensure
from shipfit.serve.router import Canary, RoutedModel, RouterSettings, Service, render
from tests.waiting import eventually

KEY = "sk-one"
DOMAIN = "cluster.local"
IN_A_POD = {"LOCALDOMAIN": f"llm.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}", "RES_OPTIONS": "ndots:5"}
"""What c-ares reads in the place of a pod's /etc/resolv.conf."""


class NameServer:
    """A cluster's: knows the addresses set for the names of Services, and asks nobody about what is outside.

    Attributes:
        addresses: by the name of a Service, as ``gemma.llm.svc``.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, Sequence[str]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            self._socket.sendto(self._answer(question), client)

    def _answer(self, message: bytes) -> bytes:
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1 : at + 1 + message[at]].decode())
            at += 1 + message[at]
        at += 5
        asked_for_a = message[at - 4 : at - 2] == b"\0\1"
        name = ".".join(labels).lower()
        known = self.addresses.get(name.removesuffix(f".{DOMAIN}"))
        found = known if known and asked_for_a else []
        # NXDOMAIN is what CoreDNS says of a Service without a ready pod, and SERVFAIL where it has nobody to ask.
        code = 2 if not name.endswith(f".{DOMAIN}") else 0 if known else 3
        head = message[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(found), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4)
        return head + message[12:at] + b"".join(record + socket.inet_aton(each) for each in found)


@dataclass
class Upstream:
    """One of the servers."""

    address: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """As abruptly as can be."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """SIGUSR1: unhealthy; SIGUSR2: healthy."""
        os.kill(self.process.pid, number)


@dataclass
class Router:
    """A running Envoy."""

    url: str
    metrics: str
    admin: int

    def client(self, key: str = KEY) -> httpx.Client:
        """A client of the public port."""
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {key}"}, timeout=20)

    def status(self, path: str) -> int | None:
        """What a path on the port for metrics answers; None where nobody does."""
        try:
            return httpx.get(f"{self.metrics}/{path}").status_code
        except httpx.TransportError:
            return None

    def ask(self, prompt: str, model: str = "gemma") -> httpx.Response:
        """One completion."""
        with self.client() as client:
            return client.post("/v1/completions", json={"model": model, "prompt": prompt})

    def statistics(self) -> str:
        """What Prometheus gets."""
        return httpx.get(f"{self.metrics}/stats/prometheus").text

    def replicas(self, count: int, model: str = "gemma") -> list[str]:
        """Who answers ``count`` requests."""
        body = {"model": model, "prompt": "1 0"}
        with self.client() as client:
            answers = [client.post("/v1/completions", json=body) for _ in range(count)]
        assert [200] * count == [each.status_code for each in answers]
        return [each.json()["replica"] for each in answers]


class Loopback:
    """What a test starts, all of it ended with the test."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.names = NameServer()
        self._folder = folder
        self._stack = stack
        self._port = free_port()

    def replica(self, number: int, state: str = "healthy") -> Upstream:
        """A server at 127.0.0.``number``, on the same port as all others.

        Args:
            state: ``healthy``, ``unhealthy``, or ``failing``: healthy, and answers every request with 500.
        """
        address = f"127.0.0.{number}"
        script = Path(__file__).with_name("upstream.py")
        words = [address, str(self._port), state]
        process = self._stack.enter_context(
            subprocess.Popen([sys.executable, script, *words], stdout=subprocess.PIPE, text=True)
        )
        self._stack.callback(process.kill)
        assert process.stdout
        assert "listening\n" == process.stdout.readline()
        return Upstream(address, process)

    def router(self, *models: str, canary: int = 0, wait_s: int = 0, wakes: bool = False) -> Router:
        """A router of the models named, each found by the name ``<model>.llm.svc``.

        Args:
            canary: percent of each model's requests that go to ``<model>-canary.llm.svc``.
            wait_s: how long a request waits where no replica is known.
            wakes: whether a request is what makes the first one come.
        """
        port, admin, metrics = free_port(), free_port(), free_port()
        routed = [self._model(name, canary, wait_s, wakes) for name in models]
        settings = RouterSettings(port, [KEY, "sk-two"], routed, admin=admin, metrics_port=metrics)
        config = json.loads(render(settings)) | {"typed_dns_resolver_config": _resolver(self.names.port)}
        (self._folder / "envoy.json").write_text(json.dumps(config))
        argv = [ensure("envoy").program("envoy"), "-c", "envoy.json", "--disable-hot-restart"]
        log = self._stack.enter_context((self._folder / "envoy.log").open("w"))
        process = self._stack.enter_context(
            subprocess.Popen(
                [*argv, "--concurrency", "2", "-l", "warning"],
                cwd=self._folder,
                env=os.environ | IN_A_POD,
                stdout=log,
                stderr=log,
            )
        )
        self._stack.callback(process.terminate)
        router = Router(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics}", admin)
        eventually(lambda: router.status("readyz") == 200)
        return router

    def _model(self, name: str, canary: int, wait_s: int, wakes: bool) -> RoutedModel:
        of_canary = Canary(self._service(f"{name}-canary"), canary) if canary else None
        return RoutedModel(name, self._service(name), of_canary, wait_s, wakes)

    def _service(self, name: str) -> Service:
        return Service(f"{name}.llm.svc.{DOMAIN}.", self._port)


@contextmanager
def on_loopback(folder: Path) -> Iterator[Loopback]:
    """Servers and routers of one test; Envoy works in ``folder``."""
    with ExitStack() as stack:
        yield Loopback(folder, stack)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _resolver(port: int) -> dict[str, Any]:
    server = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [server],
        },
    }
