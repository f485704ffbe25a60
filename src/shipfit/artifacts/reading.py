"""Reading artifacts: what is recorded of them, whether they may be used, and bringing them here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipfit.artifacts import collect, pull, signing
from shipfit.artifacts.catalogue import Catalogue, checked
from shipfit.artifacts.checkpoints import read_result
from shipfit.artifacts.documents import read_document
from shipfit.artifacts.download import verify_stored
from shipfit.artifacts.layout import (
    checkpoint_key,
    measurement_key,
    policy_key,
    signatures_prefix,
    verdicts_prefix,
)
from shipfit.artifacts.manifest import Manifest, Staged
from shipfit.artifacts.records import Pin, PolicyRecord, Signature, Verdict
from shipfit.artifacts.stage import staged
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import Progress
from shipfit.spec import Policy, SignedBy


class Reader(Catalogue):
    """Reads artifacts. ``Publisher`` adds new ones."""

    def policy(self, name: str) -> Policy | None:
        """The rules for the artifacts of a name; None where none were set.

        Raises:
            EnvironmentFailure: the store failed, or the document cannot be read.
        """
        what = f"the policy of {name}"
        value = self._objects.read(policy_key(checked(name, "name")), f"reading {what}")
        return read_document(value.content, PolicyRecord, what, self.label).policy if value else None

    def verdicts(self, name: str, fingerprint: str) -> list[Verdict]:
        """The latest verdict of every kind on an artifact, sorted by kind.

        Raises:
            EnvironmentFailure: the store failed, or a verdict cannot be read.
        """
        what = f"the verdicts on {name} ({fingerprint[:12]})"
        prefix = verdicts_prefix(checked(name, "name"), fingerprint)
        keys = sorted(each.key for each in self._objects.below(prefix, f"listing {what}"))
        values = [self._objects.read(key, f"reading {what}") for key in keys]
        return [read_document(value.content, Verdict, what, self.label) for value in values if value]

    def signatures(self, name: str, fingerprint: str) -> list[Signature]:
        """The latest signature of every signer of an artifact, verified by nobody yet, sorted by date.

        Raises:
            EnvironmentFailure: the store failed, or a signature cannot be read.
        """
        what = f"the signatures of {name} ({fingerprint[:12]})"
        prefix = signatures_prefix(checked(name, "name"), fingerprint)
        values = [
            self._objects.read(each.key, f"reading {what}")
            for each in self._objects.below(prefix, f"listing {what}")
        ]
        read = [read_document(value.content, Signature, what, self.label) for value in values if value]
        return sorted(read, key=lambda signature: (signature.at, signature.id))

    def pins(self, name: str) -> list[Pin]:
        """The pins of a name, the oldest first.

        Raises:
            EnvironmentFailure: the store failed, or a pin cannot be read.
        """
        return sorted(collect.pins(self._objects, checked(name, "name")), key=lambda pin: pin.at)

    def staged(self, name: str, fingerprint: str) -> Staged | None:
        """What was staged and not committed yet; None if that is nothing, or not whole.

        Raises:
            EnvironmentFailure: the store failed.
        """
        return staged(self._objects, checked(name, "name"), fingerprint)

    def fetch(self, stored: Staged | Manifest, folder: Path, progress: Progress) -> None:
        """Bring what was staged or published into a folder, every file verified; goes on where it was cut off.

        Args:
            folder: made if it is not there.

        Raises:
            EnvironmentFailure: a file in the store is missing or differs (named), the store failed, or the disk is
                full.
        """
        pull.fetch(self._objects, stored, folder, progress)

    def trusted(
        self, name: str, fingerprint: str, progress: Progress, signed_by: SignedBy | None = None
    ) -> Manifest:
        """The manifest of an artifact that may be used, signed as it has to be; its files are not read.

        Args:
            signed_by: whose signature it must bear, besides what the policy asks for.

        Raises:
            InputError: the public key cannot be used.
            EnvironmentFailure: it is not there, its gate did not pass, or it is not signed as it has to be.
        """
        manifest, content = self._accepted(name, fingerprint)
        self._require_signed(manifest, content, signed_by, progress)
        return manifest

    def verify(
        self, name: str, fingerprint: str, progress: Progress, signed_by: SignedBy | None = None
    ) -> Manifest:
        """Read every file in the store and compare it with the manifest, and that with the signature asked for.

        Args:
            signed_by: whose signature it must bear, besides what the policy asks for.

        Raises:
            InputError: the public key cannot be used.
            EnvironmentFailure: a file is missing or differs (named), the gate did not pass, or it is not signed as it
                has to be.
        """
        manifest = self.trusted(name, fingerprint, progress, signed_by)
        with progress.step(f"verifying {name} ({fingerprint[:12]})"):
            verify_stored(self._objects, manifest, progress)
        return manifest

    def pull(
        self,
        name: str,
        channel_or_fingerprint: str,
        progress: Progress,
        signed_by: SignedBy | None = None,
    ) -> pull.Pulled:
        """Bring an artifact into the cache, every file verified by digest; also when it is there already.

        Args:
            signed_by: whose signature it must bear, besides what the policy asks for.

        Raises:
            InputError: no such name, channel or fingerprint, or the public key cannot be used.
            EnvironmentFailure: a file in the store is missing or differs (named), it is not signed as it has to be,
                the store failed, or the disk is full.
        """
        manifest, content = self._accepted(name, self.resolve(name, channel_or_fingerprint))
        signatures = self._require_signed(manifest, content, signed_by, progress)
        return pull.pull(self._objects, manifest, content, signing.documents(signatures), progress)

    def _require_signed(
        self, manifest: Manifest, content: bytes, signed_by: SignedBy | None, progress: Progress
    ) -> list[Signature]:
        """Its signatures, one of which is by whom the policy asks for, and one by ``signed_by``."""
        signatures = self.signatures(manifest.name, manifest.fingerprint)
        policy = self.policy(manifest.name)
        signed = signing.Signed.of(manifest, content)
        for wanted in {each for each in (policy and policy.signed_by, signed_by) if each}:
            why = signing.refusal(signed, signatures, wanted, progress)
            if why:
                raise EnvironmentFailure(
                    f"{self.label}: artifact {signed} is refused: {why}",
                    hint="roll the channel back, or have it signed (`shipfit artifacts sign`)",
                )
        return signatures

    def checkpoint(self, name: str, fingerprint: str, stage: str, of: str) -> dict[str, Any] | None:
        """What a stage of an earlier run led to, on whatever machine; None if it did not end.

        Args:
            of: as it was kept with.

        Raises:
            EnvironmentFailure: the store failed, or what lies there is damaged.
        """
        key = checkpoint_key(checked(name, "name"), fingerprint, stage, of)
        return read_result(self._objects, key, f"the {stage} of {name}")

    def measurement(self, name: str, fingerprint: str, digest: str) -> dict[str, Any] | None:
        """What the gate measured of an artifact after it was committed; None if it did not.

        Args:
            digest: of what it measured and with what.

        Raises:
            EnvironmentFailure: the store failed, or what lies there is damaged.
        """
        key = measurement_key(checked(name, "name"), fingerprint, digest)
        return read_result(self._objects, key, f"the gate of {name}")
