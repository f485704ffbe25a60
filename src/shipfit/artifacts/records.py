"""Documents beside artifacts: verdicts on them, signatures, pins, the policy that was set."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field, JsonValue

from shipfit.artifacts.manifest import Sha256
from shipfit.spec import Policy
from shipfit.spec.base import Name, Section


class Verdict(Section):
    """What somebody found out about a published artifact."""

    schema_version: Literal[1] = 1
    """Version of this document."""
    name: Name
    """The artifact's name."""
    fingerprint: Sha256
    """The very artifact that was judged."""
    kind: Name
    """What was judged, such as `load-test`."""
    passed: bool
    """Whether it did well enough."""
    report: dict[str, JsonValue]
    """The figures."""
    at: datetime
    """When, in UTC."""
    by: str
    """Who recorded it, as user@host."""


class Signature(Section):
    """A signature of an artifact. What it says of its signer is true only once it was verified."""

    schema_version: Literal[1] = 1
    """Version of this document."""
    name: Name
    """The artifact's name."""
    fingerprint: Sha256
    """The very artifact that was signed."""
    id: Sha256
    """Tells signers apart: the SHA-256 of the public key's file, or of the identity."""
    identity: str | None = None
    """Whom Sigstore certified; None where a key signed."""
    bundle: str
    """The signature as OpenSSF model-signing writes it: a Sigstore bundle, in JSON."""
    at: datetime
    """When it was signed, by the signing machine's clock, in UTC."""
    by: str
    """Who ran the signing, as user@host."""

    @property
    def signer(self) -> str:
        """Who signed it, in words."""
        return self.identity or f"key {self.id[:12]}"


class Pin(Section):
    """Keeps an artifact, whatever else names it."""

    schema_version: Literal[1] = 1
    """Version of this document."""
    name: Name
    """The artifact's name."""
    fingerprint: Sha256
    """The artifact that is kept."""
    reason: str = Field(min_length=1, max_length=500)
    """Why."""
    at: datetime
    """Since when, in UTC."""
    by: str
    """Who pinned it, as user@host."""


class PolicyRecord(Section):
    """The policy of a name as it was set."""

    schema_version: Literal[1] = 1
    """Version of this document."""
    policy: Policy
    """The file."""
    at: datetime
    """When it was set, in UTC."""
    by: str
    """Who set it, as user@host."""


def now() -> datetime:
    """This moment by this machine's clock, in UTC; for people to read, never to decide by."""
    return datetime.now(UTC).replace(microsecond=0)


def who() -> str:
    """Who runs this, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
