"""Signing artifacts and verifying signatures with OpenSSF model-signing, in an environment of its own.

What is signed is the set of an artifact's files with their digests, and the manifest as one more of them: so neither
a file nor what the manifest says of it (name, fingerprint, source, gate) can be changed or swapped for another signed
artifact's. Nothing is downloaded or hashed for that; the files' bytes are compared with the manifest where they are
read, by ``pull`` and ``verify``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.artifacts.manifest import Manifest
from shipfit.artifacts.pull import MARKER
from shipfit.artifacts.records import Signature, now, who
from shipfit.core.errors import EnvironmentFailure, InputError, ShipfitError
from shipfit.core.paths import cache_dir
from shipfit.core.progress import Progress
from shipfit.core.worker import WorkerError, run_worker
from shipfit.spec import Pipeline, SignedBy, blame

SIGNATURES = ".signatures"
"""Where signatures lie in a pulled folder; no part of what is signed."""

_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Signer:
    """Who signs.

    Attributes:
        private_key: a PEM file; None to sign with Sigstore as the identity of this CI job or pod.
    """

    private_key: Path | None


@dataclass(frozen=True)
class Signed:
    """What a signature is of.

    Attributes:
        name: the artifact's.
        fingerprint: the artifact's.
        files: digests by path, the manifest's own among them.
    """

    name: str
    fingerprint: str
    files: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest, content: bytes) -> Signed:
        """An artifact, the manifest as it stands in the store.

        Its own digest is under the name that it has in a pulled folder.
        """
        files = {entry.path: entry.sha256 for entry in manifest.files}
        own = {MARKER: hashlib.sha256(content).hexdigest()}
        return cls(manifest.name, manifest.fingerprint, files | own)

    def __str__(self) -> str:
        """In words."""
        return f"{self.name} ({self.fingerprint[:12]})"


def signer_of(pipeline: Pipeline) -> Signer | None:
    """Who signs what a pipeline publishes; None where nobody does."""
    if pipeline.signing is None:
        return None
    key = pipeline.signing.private_key
    return Signer(pipeline.resolve(key) if key else None)


def check_signer(pipeline: Pipeline, progress: Progress) -> None:
    """Find out before hours of work whether what a pipeline publishes can be signed as it says.

    Raises:
        InputError: the key cannot be used; names the field.
        EnvironmentFailure: nothing here vouches for an identity, or the environment could not be built.
    """
    signer = signer_of(pipeline)
    if signer:
        with blame(pipeline, "signing", "private_key" if signer.private_key else "keyless"):
            _ask("check", {"private_key": _text(signer.private_key)}, f"signing {pipeline.name}", progress)


def sign(
    signed: Signed, signatures: Sequence[Signature], signer: Signer, progress: Progress
) -> Signature | None:
    """A new signature; None where the same key has made one that holds.

    Raises:
        InputError: the key cannot be used.
        EnvironmentFailure: nothing here vouches for an identity, or Sigstore cannot be reached.
    """
    request = {**_about(signed, signatures), "private_key": _text(signer.private_key)}
    with progress.step(f"signing {signed}"):
        made = _ask("sign", request, f"signing {signed}", progress)
    if made["bundle"] is None:
        return None
    return Signature(
        name=signed.name,
        fingerprint=signed.fingerprint,
        id=made["id"],
        identity=made["identity"],
        bundle=made["bundle"],
        at=now(),
        by=who(),
    )


def refusal(
    signed: Signed, signatures: Sequence[Signature], wanted: SignedBy, progress: Progress
) -> str | None:
    """Why an artifact does not count as signed by somebody; None where it does.

    Raises:
        InputError: the public key cannot be used.
        EnvironmentFailure: Sigstore's roots of trust cannot be had, or the environment could not be built.
    """
    if not signatures:
        return "it is not signed"
    request = {**_about(signed, signatures), **wanted.model_dump()}
    found = _ask("verify", request, f"verifying the signature of {signed}", progress)
    return None if found["id"] else str(found["why"])


def documents(signatures: Sequence[Signature]) -> dict[str, bytes]:
    """What lies in a pulled folder for the signatures, by path: the bundles, for other programs to verify."""
    return {f"{SIGNATURES}/{each.id}.json": each.bundle.encode() for each in signatures}


def _about(signed: Signed, signatures: Sequence[Signature]) -> dict[str, Any]:
    return {
        "name": signed.name,
        "files": dict(signed.files),
        "ignored": [SIGNATURES],
        "signatures": [each.bundle for each in signatures],
    }


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _ask(action: str, request: Mapping[str, Any], doing: str, progress: Progress) -> dict[str, Any]:
    from shipfit.environments import ensure

    try:
        return run_worker(
            ensure("model-signing", progress=progress).python,
            _WORKER,
            {"action": action, **request},
            doing=doing,
            log=cache_dir("logs") / "model-signing.log",
            report=progress.update,
        )
    except WorkerError as error:
        raise _explained(error, doing) from error


def _explained(error: WorkerError, doing: str) -> ShipfitError:
    """A key is the user's to mend; what is missing here is told without a log."""
    if error.kind == "UnusableKeyError":
        return InputError(error.detail, hint=error.hint)
    if error.kind == "NoIdentityError":
        return EnvironmentFailure(f"{doing} failed: {error.detail}", hint=error.hint)
    if error.kind == "TUFError":
        return EnvironmentFailure(
            f"{doing} failed: Sigstore's roots of trust cannot be fetched", hint="keyless needs a network"
        )
    return error
