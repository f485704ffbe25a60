"""Signs an artifact and verifies signatures with OpenSSF model-signing; runs in the environment ``model-signing``.

All cryptography, the form of what is signed and the comparison with it are the library's. The files are hashed
already: the store's digests are handed to the library in place of a folder, so nothing is downloaded for a signature.
What comes out is what the library would make of the pulled folder, and its own command verifies that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from model_signing import hashing, manifest, signing, verifying
from model_signing._hashing.hashing import Digest  # what its public classes are made of
from sigstore.oidc import detect_credential

PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class UnusableKeyError(Exception):
    """A key is not there, is of another kind, or wants another password."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class NoIdentityError(Exception):
    """Nothing here vouches for an identity."""

    hint = (
        "run it in a CI job or pod that has one (GitHub Actions: `permissions: id-token: write`), or sign with"
        " a key"
    )


class Known(hashing.Config):
    """The digests of an artifact's files, in place of reading the files.

    Args:
        name: the artifact's.
        files: digests by path.
        ignored: what lies in a pulled folder and is no part of the artifact.
    """

    def __init__(self, name: str, files: Mapping[str, str], ignored: list[str]) -> None:
        super().__init__()
        form = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ignored}
        kind = manifest.SerializationType.from_args(form)
        items = [kind.new_item(path, Digest("sha256", bytes.fromhex(each))) for path, each in files.items()]
        self._known = manifest.Manifest(name, items, kind)

    def hash(
        self,
        model_path: Any,  # noqa: ARG002 - as in the class above
        *,
        files_to_hash: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> manifest.Manifest:
        """What the library would find in the folder."""
        return self._known


def main(request: dict[str, Any], _report: Any) -> dict[str, Any]:
    """Check a signer, sign as one, or verify; see ``shipfit.artifacts.signing``."""
    with tempfile.TemporaryDirectory() as scratch:
        return {"check": _check, "sign": _sign, "verify": _verify}[request["action"]](request, Path(scratch))


def _check(request: dict[str, Any], _scratch: Path) -> dict[str, Any]:
    if request["private_key"]:
        _private_key(Path(request["private_key"]))
    else:
        _identity_token()
    return {}


def _sign(request: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """A signature; none where the same key has made a valid one."""
    config = signing.Config().set_hashing_config(_known(request))
    if request["private_key"]:
        path = Path(request["private_key"])
        public = _private_key(path).public_key().public_bytes(*PEM).decode()
        if _verify({**request, "public_key": public}, scratch)["id"]:
            return {"bundle": None}
        config.use_elliptic_key_signer(private_key=path, password=_password())
    else:
        config.use_sigstore_signer(identity_token=_identity_token())
    made = scratch / "made.json"
    config.sign(request["name"], made)
    bundle = made.read_text()
    return {"bundle": bundle, **_signer(bundle)}


def _verify(request: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Whose signature holds, or why none does."""
    config = verifying.Config().set_hashing_config(_known(request))
    if request["public_key"]:
        wanted = _use_key(config, request["public_key"], scratch)
    else:
        wanted = {"id": None, "identity": request["identity"]}
        config.use_sigstore_verifier(identity=request["identity"], oidc_issuer=request["issuer"])
    reasons = []
    path = scratch / "signature.json"
    for bundle in request["signatures"]:
        words = "nobody that can be read"
        try:
            signer = _signer(bundle)
            words = _words(signer)
            if signer["id"] != wanted["id"] if wanted["id"] else signer["identity"] is None:
                reasons.append(f"it is signed by {words}, not by {_words(wanted)}")
                continue
            path.write_text(bundle)
            config.verify(request["name"], path)
        except Exception as error:  # noqa: BLE001 - whatever the libraries say of a signature, it does not hold
            reasons.append(f"its signature by {words} does not hold ({_why(error)})")
        else:
            return signer
    return {"id": None, "why": "; ".join(reasons)}


def _why(error: Exception) -> str:
    """The library lists digests as Python prints bytes; the files' names are what matters of them.

    The manifest has its name in the store: no leading dot.
    """
    text = " ".join(str(error).split())
    if names := re.findall(r"Hash mismatch for \W*([^'\\]+)", text):
        return f"other content was signed of {', '.join(names[:3])}"
    return text[:300] or type(error).__name__


def _known(request: dict[str, Any]) -> Known:
    return Known(request["name"], request["files"], request["ignored"])


def _use_key(config: verifying.Config, text: str, scratch: Path) -> dict[str, Any]:
    path = scratch / "key.pem"
    path.write_text(text)
    try:
        config.use_elliptic_key_verifier(public_key=path)
        key = serialization.load_pem_public_key(text.encode())
    except Exception as error:
        raise UnusableKeyError(f"the public key cannot be used: {_plain(error)}", _CURVES) from error
    return {"id": hashlib.sha256(key.public_bytes(*PEM)).hexdigest(), "identity": None}


def _private_key(path: Path) -> Any:
    password = _password()
    try:
        signing.Config().use_elliptic_key_signer(private_key=path, password=password)
        return serialization.load_pem_private_key(path.read_bytes(), password)
    except OSError as error:
        raise UnusableKeyError(f"{path} cannot be read: {error.strerror}", "name a PEM file") from error
    except Exception as error:
        hint = _LOCKED if "assword" in str(error) else _CURVES
        raise UnusableKeyError(f"{path} cannot be used as a private key: {_plain(error)}", hint) from error


def _plain(error: Exception) -> str:
    """What is wrong with a key; the library asks a key of any other kind for its curve."""
    return "it is no elliptic-curve key" if isinstance(error, AttributeError) else str(error)


_CURVES = "make one: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE`"
_LOCKED = "set SHIPFIT_SIGNING_PASSWORD to the key's password, or leave it unset for a key without one"


def _password() -> bytes | None:
    """The library hands it to ``cryptography``, which takes bytes."""
    text = os.environ.get("SHIPFIT_SIGNING_PASSWORD")
    return text.encode() if text else None


def _identity_token() -> str:
    """Asked for before Sigstore is: without one, no network is needed to say so, and no browser is opened."""
    token = detect_credential()
    if token is None:
        raise NoIdentityError("no OpenID Connect identity was found here")
    return token


def _signer(bundle: str) -> dict[str, Any]:
    """Who made a signature, as it says itself."""
    material = json.loads(bundle)["verificationMaterial"]
    if "publicKey" in material:
        return {"id": material["publicKey"]["hint"], "identity": None}
    certificate = x509.load_der_x509_certificate(base64.b64decode(material["certificate"]["rawBytes"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    identity = str(next(iter(names)).value)
    return {"id": hashlib.sha256(identity.encode()).hexdigest(), "identity": identity}


def _words(signer: dict[str, Any]) -> str:
    return signer["identity"] or f"key {signer['id'][:12]}"
