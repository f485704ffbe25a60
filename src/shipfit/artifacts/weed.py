"""How SeaweedFS is run as the embedded store: its ports, flags and keys. Everything is on loopback.

The flags are those of ``weed server -h`` of the version in versions.txt. What they are for, where it is not plain:

- ``-master.telemetry=false``: it would report to its authors otherwise.
- ``-master.electionTimeout=1s``: a single master need not wait 10 s for peers; up in 3 s instead of 8.
- ``-filer.disableHttp``, ``-s3.iam=false``, Iceberg and Lance ports 0: fewer doors. S3 asks for the key; the gRPC ports
  do not, so another user of the same machine who looks for them could change the store. Digests would show it.
- ``-volume.minFreeSpace``: below it the store refuses to write, and a disk is not filled to its last byte.
"""

from __future__ import annotations

import json
import secrets
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from shipfit.core.paths import write_atomically

ADDRESS = "127.0.0.1"
BUCKET = "shipfit"
RESERVE = 256 * 2**20
"""Bytes of its disk that the embedded store leaves free."""

_PARTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class Credentials:
    """The key of the embedded store."""

    access_key: str
    secret_key: str


def credentials(folder: Path) -> Credentials:
    """The key in ``folder``, made up at the first call; readable by this user alone.

    Raises:
        EnvironmentFailure: the disk is full or the folder not writable.
    """
    path = folder / "s3.json"
    if not path.exists():
        key = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
        identity = {"name": "shipfit", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]}
        write_atomically(path, json.dumps({"identities": [identity]}, indent=2), mode=0o600)
    key = json.loads(path.read_text())["identities"][0]["credentials"][0]
    return Credentials(key["accessKey"], key["secretKey"])


def free_ports() -> dict[str, int]:
    """Eight ports that nobody listens on now: HTTP and gRPC of each part, as ``s3`` and ``s3.grpc``."""
    with ExitStack() as stack:
        ports = {}
        for name in (f"{part}{suffix}" for part in _PARTS for suffix in ("", ".grpc")):
            held = stack.enter_context(socket.socket())
            held.bind((ADDRESS, 0))
            ports[name] = held.getsockname()[1]
        return ports


def arguments(program: Path, folder: Path, ports: dict[str, int]) -> list[str | Path]:
    """The command line; to be run in ``folder``, so that socket paths stay below the system's limit of 108 bytes."""
    flags = {
        "dir": "objects",
        "ip": ADDRESS,
        "ip.bind": ADDRESS,
        "master.port": ports["master"],
        "master.port.grpc": ports["master.grpc"],
        "master.telemetry": "false",
        "master.electionTimeout": "1s",
        "master.heartbeatInterval": "100ms",
        "master.volumeSizeLimitMB": 1024,
        "volume.port": ports["volume"],
        "volume.port.grpc": ports["volume.grpc"],
        "volume.max": 0,
        "volume.minFreeSpace": f"{RESERVE // 2**20}MiB",
        "volume.preStopSeconds": 0,
        "filer.port": ports["filer"],
        "filer.port.grpc": ports["filer.grpc"],
        "filer.disableHttp": "true",
        "filer.localSocket": "filer.sock",
        "s3": "true",
        "s3.port": ports["s3"],
        "s3.port.grpc": ports["s3.grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": "s3.sock",
        "s3.iam": "false",
        "s3.config": folder / "s3.json",
    }
    return [program, "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in flags.items())]


def remove_leftovers(folder: Path, ports: dict[str, int]) -> None:
    """Remove the sockets that a killed SeaweedFS leaves behind."""
    for path in leftovers(folder, ports):
        path.unlink(missing_ok=True)


def leftovers(folder: Path, ports: dict[str, int]) -> list[Path]:
    """The sockets of a SeaweedFS on these ports; those for gRPC lie in /tmp whatever one says."""
    fixed = [
        Path("/tmp") / f"seaweedfs-{part}-grpc-{ports[f'{part}.grpc']}.sock"  # noqa: S108
        for part in _PARTS
    ]
    return [*fixed, folder / "filer.sock", folder / "s3.sock"]
