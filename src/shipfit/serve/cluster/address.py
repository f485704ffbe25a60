"""Where clients reach a release: its own address where it has one, else a port on loopback that kubectl forwards."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import state_dir, write_atomically
from shipfit.core.process import Process, last_words
from shipfit.serve import sessions
from shipfit.serve.cluster.target import INSTANCE, Target

_PATIENCE_S = 20.0


class Forward(BaseModel):
    """A port on loopback that leads to the router of a release.

    Attributes:
        session: the kubectl that forwards it.
    """

    port: int
    session: sessions.Session


@dataclass(frozen=True)
class Address:
    """What clients need.

    Attributes:
        url: what OpenAI clients take, with ``/v1`` at its end.
        key: the API key; None where none is asked for.
    """

    url: str
    key: str | None


def address(target: Target) -> Address:
    """Where clients of this machine reach the release; forwards a port where it has no address of its own.

    Raises:
        EnvironmentFailure: it is not in the cluster, or cannot be reached.
    """
    current = target.helm.current()
    if current.serving is None:
        raise EnvironmentFailure(
            f"{target.release} is not deployed in {target.place}", hint=f"run `shipfit deploy {target.spec}`"
        )
    key = api_key(target, current.values)
    return Address(own_url(target) or _forwarded(target), key)


def own_url(target: Target) -> str | None:
    """The address that the cluster gives the release: of its Ingress, HTTPRoute or load balancer.

    Raises:
        EnvironmentFailure: the cluster does not answer.
    """
    selector = f"--selector={INSTANCE}={target.release}"
    for each in target.kubectl.items("ingresses.networking.k8s.io", selector):
        host = each["spec"]["rules"][0]["host"]
        return f"{'https' if each['spec'].get('tls') else 'http'}://{host}/v1"
    if hosts := _route_hosts(target, selector):
        return f"https://{hosts[0]}/v1"
    for each in target.kubectl.items("services", selector):
        for entry in each.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
            return f"http://{entry.get('hostname') or entry['ip']}:{each['spec']['ports'][0]['port']}/v1"
    return None


def api_key(target: Target, values: dict[str, Any]) -> str | None:
    """A key that the release takes, from the Secret that its values name; None where none is asked for.

    Raises:
        EnvironmentFailure: the Secret cannot be read, or holds no key.
    """
    named = (values.get("router") or {}).get("apiKey") or {}
    if not named.get("secret"):
        return None
    name, key = named["secret"], named.get("key", "api-key")
    found = target.kubectl.items(f"secret/{name}")[0].get("data") or {}
    keys = base64.b64decode(found.get(key, "")).decode().split()
    if not keys:
        raise EnvironmentFailure(f"Secret {name} holds no key under {key}", hint="put one there, one a line")
    return keys[0]


@contextmanager
def reached(target: Target, what: str = "", port: str = "http") -> Iterator[str]:
    """A port of its own that leads into the cluster for as long as the block runs; its address.

    Args:
        what: a pod or service, such as ``pod/main-0``; the release's router by default.
        port: there, by number or name.

    Raises:
        EnvironmentFailure: kubectl cannot forward one.
    """
    lines: list[str] = []
    with Process(_command(target, what or _router(target), f":{port}"), on_line=lines.append) as forwarding:
        deadline = time.monotonic() + _PATIENCE_S
        while not (said := next((line for line in lines if line.startswith("Forwarding")), "")):
            if forwarding.returncode is not None or time.monotonic() > deadline:
                raise EnvironmentFailure(
                    f"no port leads to {what or _router(target)}: {last_words(forwarding.tail)}"
                )
            time.sleep(0.05)
        yield f"http://127.0.0.1:{said.split(' ')[2].rpartition(':')[2]}"


def end_forward(target: Target) -> None:
    """End the port that ``address`` forwarded, if there is one."""
    if found := _read(target):
        sessions.kill([found.session])
        _file(target).unlink(missing_ok=True)


def _forwarded(target: Target) -> str:
    port = target.deployment.router.port
    found = _read(target)
    if found is None or found.port != port or not found.session.leader_lives():
        end_forward(target)
        _start(target, port)
    return f"http://127.0.0.1:{port}/v1"


def _start(target: Target, port: int) -> None:
    log = _file(target).with_suffix(".log")
    process = Process(_command(target, _router(target), f"{port}:http"), log=log, survives_us=True)
    session = sessions.Session.of(process.pid)
    deadline = time.monotonic() + _PATIENCE_S
    while session and process.returncode is None and not _listens(port):
        if time.monotonic() > deadline:
            process.stop()
        time.sleep(0.05)
    if session is None or process.returncode is not None:
        said = last_words(log.read_text().splitlines())
        raise EnvironmentFailure(
            f"port {port} does not lead to the router of {target.release}: {said}",
            hint=f"see that a router pod is ready, and that port {port} (router.port) is free",
            log=log,
        )
    write_atomically(_file(target), Forward(port=port, session=session).model_dump_json())


def _command(target: Target, what: str, ports: str) -> list[str]:
    return target.kubectl.argv("port-forward", "--address=127.0.0.1", what, ports)


def _router(target: Target) -> str:
    return f"service/{target.release}-router"


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _route_hosts(target: Target, selector: str) -> list[str]:
    """Host names of the release's HTTPRoute; none where the cluster knows no such kind."""
    done = target.kubectl.call("get", "httproutes.gateway.networking.k8s.io", selector, "--output=json")
    if done.code != 0:
        return []
    return [host for each in json.loads(done.out)["items"] for host in each["spec"].get("hostnames") or []]


def _file(target: Target) -> Path:
    return state_dir("releases", target.cluster.namespace, target.release) / "forward.json"


def _read(target: Target) -> Forward | None:
    with suppress(FileNotFoundError, ValidationError):
        return Forward.model_validate_json(_file(target).read_bytes())
    return None
