"""What ``--address`` may be."""

from __future__ import annotations

from urllib.parse import urlsplit

from shipfit.core.errors import InputError


def is_elsewhere(address: str | None) -> bool:
    """Whether the address is that of a cluster to which the command goes as a job.

    Args:
        address: None for a Ray of its own, ``auto`` for the one that this machine is a node of, or the URL of a
            cluster's dashboard.

    Raises:
        InputError: it is none of these.
    """
    if address is None or address == "auto":
        return False
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"}:
        return True
    raise InputError(
        f"{address!r} is not the address of a Ray cluster",
        hint="write http://HOST:8265 (its dashboard), or auto on one of its own machines",
        where="--address",
    )
