"""Who signs artifacts, and whose signature is asked for: sections of Pipeline, Policy and Deployment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from shipfit.core.errors import InputError
from shipfit.spec.base import Document, Section
from shipfit.spec.load import blame

_PEM = "-----BEGIN PUBLIC KEY-----"


class Signing(Section):
    """How what is published is signed: name one of the two."""

    private_key: str | None = None
    """A PEM file with an elliptic-curve key (P-256, P-384 or P-521), seen from this one's folder. The environment
    variable SHIPFIT_SIGNING_PASSWORD holds its password, where it has one."""
    keyless: bool = False
    """Sign with Sigstore as the OpenID Connect identity of the CI job or pod that runs this."""

    @model_validator(mode="after")
    def _one_way(self) -> Signing:
        if (self.private_key is None) is not self.keyless:
            raise ValueError("name either private_key, or keyless: true")
        return self


class SignedBy(Section):
    """Whose signature an artifact must bear: name a key, or an identity and its issuer."""

    public_key: str | None = None
    """The public half of the key: a PEM file seen from this one's folder, or its text."""
    identity: str | None = Field(default=None, min_length=1)
    """What Sigstore certified, such as `https://github.com/OWNER/REPO/.github/workflows/FILE@refs/heads/main`."""
    issuer: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Who vouches for the identity, such as `https://token.actions.githubusercontent.com`."""

    @model_validator(mode="after")
    def _one_way(self) -> SignedBy:
        if (self.public_key is None) is (self.identity is None) or (self.identity is None) is not (
            self.issuer is None
        ):
            raise ValueError("name either public_key, or identity and issuer")
        return self

    def with_text(self, document: Document, *location: str | int) -> SignedBy:
        """The same with the text of the key, where a file is named: whoever reads it elsewhere has no such file.

        Args:
            document: where this stands.
            location: and at which field.

        Raises:
            InputError: the file is not there, or holds no public key.
        """
        if self.public_key is None or self.public_key.startswith(_PEM):
            return self
        with blame(document, *location, "public_key"):
            return by_key(document.resolve(self.public_key))


def by_key(path: Path) -> SignedBy:
    """Whoever holds the private half of the key in a file.

    Raises:
        InputError: the file is not there, or holds no public key.
    """
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise InputError(f"{path} cannot be read: {why}", hint=_HINT) from None
    if not text.startswith(_PEM):
        raise InputError(f"{path} holds no public key in PEM form", hint=_HINT)
    return SignedBy(public_key=text)


_HINT = "name the file that `openssl pkey -in PRIVATE -pubout -out FILE` writes"
