"""The store: artifacts and channels of an object store, and what becomes of what is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from pydantic import JsonValue

from shipfit.artifacts import channels, collect, signing
from shipfit.artifacts.catalogue import checked
from shipfit.artifacts.commit import tidy
from shipfit.artifacts.guards import Claim, hold
from shipfit.artifacts.layout import pin_key, policy_key, signature_key, verdict_key
from shipfit.artifacts.manifest import Channel, Move
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.promotion import refusals
from shipfit.artifacts.publishing import Publisher
from shipfit.artifacts.records import Pin, PolicyRecord, Signature, Verdict, now, who
from shipfit.artifacts.retention import Decision
from shipfit.core.errors import EnvironmentFailure, InputError, VerdictError
from shipfit.core.progress import NoProgress, Progress
from shipfit.spec import Policy, Retention


class Store(Publisher):
    """Artifacts and channels; signs, promotes, pins and removes what is published. Made by ``open_store``.

    Args:
        objects: where they lie.
        free: says how many bytes may still be written, where that can be known.
        reclaim: gives the space of removed objects back, where the store does not do so by itself.
    """

    def __init__(
        self,
        objects: Objects,
        free: Callable[[], int] | None = None,
        reclaim: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__(objects, free)
        self._reclaim = reclaim

    def sign(
        self, name: str, fingerprint: str, signer: signing.Signer, progress: Progress
    ) -> Signature | None:
        """Sign an artifact; None where the same key has signed it already.

        Raises:
            InputError: the key cannot be used.
            EnvironmentFailure: the artifact is not there or is being removed, nothing here vouches for an identity,
                or Sigstore or the store failed.
        """
        with hold(self._objects, checked(name, "name"), fingerprint) as claim:
            signed = signing.Signed.of(*self._accepted(name, fingerprint))
            made = signing.sign(signed, self.signatures(name, fingerprint), signer, progress)
            _require_counts(claim)
            if made:
                content = made.model_dump_json(indent=2).encode()
                self._objects.write(signature_key(name, fingerprint, made.id), content, f"signing {signed}")
        return made

    def promote(self, name: str, channel: str, fingerprint: str, progress: Progress | None = None) -> Channel:
        """Point a channel to an artifact, if the policy of its name lets it.

        Raises:
            InputError: the channel's name is not one.
            VerdictError: the policy does not let it; says all that is missing.
            EnvironmentFailure: the artifact is not there, is being removed or its gate did not pass, or the store
                failed.
        """
        checked(channel, "channel")
        with hold(self._objects, checked(name, "name"), fingerprint) as claim:
            signed = signing.Signed.of(*self._accepted(name, fingerprint))
            self._require_allowed(signed, channel, progress or NoProgress())

            def choose(current: Channel | None) -> Move | None:
                _require_counts(claim)
                if current and current.fingerprint == fingerprint:
                    return None
                return channels.promotion(fingerprint)

            return channels.move_channel(self._objects, name, channel, choose)

    def rollback(self, name: str, channel: str) -> Channel:
        """Point a channel to where it pointed before its latest promotion. No policy is asked.

        Raises:
            InputError: there is no such channel, or nothing before.
            EnvironmentFailure: the artifact before is not there any more, or the store failed.
        """
        checked(channel, "channel")
        with ExitStack() as held:

            def choose(current: Channel | None) -> Move:
                if current is None:
                    raise self._unknown(name, channel)
                if current.previous is None:
                    raise InputError(
                        f"{self.label}: channel {channel} of {name} has nothing to go back to",
                        hint=f"promote another artifact (`shipfit artifacts ls {name}` lists them)",
                    )
                held.enter_context(hold(self._objects, name, current.previous))
                self.accepted(name, current.previous)
                return channels.rollback(current.previous)

            return channels.move_channel(self._objects, name, channel, choose)

    def record_verdict(
        self, name: str, fingerprint: str, kind: str, passed: bool, report: dict[str, JsonValue]
    ) -> Verdict:
        """Record what somebody found out about an artifact; the latest of a kind counts.

        Args:
            kind: such as ``load-test``.
            report: the figures, a small JSON document.

        Raises:
            InputError: the kind's name is not one.
            EnvironmentFailure: the artifact is not there, or the store failed.
        """
        self.accepted(name, fingerprint)
        verdict = Verdict(
            name=name,
            fingerprint=fingerprint,
            kind=checked(kind, "kind of verdict"),
            passed=passed,
            report=report,
            at=now(),
            by=who(),
        )
        content = verdict.model_dump_json(indent=2).encode()
        self._objects.write(verdict_key(name, fingerprint, kind), content, f"recording the {kind} of {name}")
        return verdict

    def set_policy(self, policy: Policy) -> None:
        """Set the rules for the artifacts of the policy's name; they hold from the next promotion on.

        Raises:
            EnvironmentFailure: the store failed.
        """
        record = PolicyRecord(policy=policy, at=now(), by=who())
        content = record.model_dump_json(indent=2).encode()
        self._objects.write(policy_key(policy.name), content, f"setting the policy of {policy.name}")

    def pin(self, name: str, fingerprint: str, reason: str, holder: str | None = None) -> Pin:
        """Keep an artifact whatever its age; a new reason takes the place of an old one.

        Args:
            holder: a name of its own for a pin that a program sets, beside that of people.

        Raises:
            EnvironmentFailure: the artifact is not there or is being removed, or the store failed.
        """
        pin = Pin(name=checked(name, "name"), fingerprint=fingerprint, reason=reason, at=now(), by=who())
        with hold(self._objects, name, fingerprint) as claim:
            self.accepted(name, fingerprint)
            _require_counts(claim)
            content = pin.model_dump_json(indent=2).encode()
            self._objects.write(pin_key(name, fingerprint, holder), content, f"pinning {name}")
        return pin

    def unpin(self, name: str, fingerprint: str, holder: str | None = None) -> None:
        """Take a pin away.

        Args:
            holder: whose pin; that of people by default.

        Raises:
            InputError: it is not pinned.
            EnvironmentFailure: the store failed.
        """
        key = pin_key(checked(name, "name"), fingerprint, holder)
        if self._objects.read(key, f"reading the pin of {name}") is None:
            raise InputError(f"{self.label}: {name} ({fingerprint[:12]}) is not pinned")
        self._objects.delete([key], f"unpinning {name}")

    def collect(
        self,
        name: str,
        rules: Retention,
        in_use: Mapping[str, str],
        progress: Progress,
        *,
        dry_run: bool = False,
    ) -> list[Decision]:
        """Remove what the rules let go: old artifacts that nothing names, and uploads that were cut off.

        Args:
            in_use: by fingerprint, what runs it; such an artifact stays.
            dry_run: only say what would become of each.

        Returns:
            What became of every fingerprint and why, the oldest first.

        Raises:
            EnvironmentFailure: the store failed. Every artifact is whole then, or not visible.
        """
        checked(name, "name")
        if dry_run:
            return collect.plan_collection(self._objects, name, rules, in_use)
        decisions = collect.collect(self._objects, name, rules, in_use, progress)
        for each in decisions:
            if not each.goes and (manifest := self.manifest(name, each.fingerprint)):
                tidy(self._objects, manifest, set())
        return decisions

    def reclaim(self, progress: Progress) -> None:
        """Give the space of what was removed back, where the store does not do so by itself.

        Raises:
            EnvironmentFailure: the store failed.
        """
        if self._reclaim:
            self._reclaim(progress)

    def _require_allowed(self, signed: signing.Signed, channel: str, progress: Progress) -> None:
        name, fingerprint = signed.name, signed.fingerprint
        policy = self.policy(name)
        if policy is None:
            return
        unsigned = None
        if policy.signed_by:
            signatures = self.signatures(name, fingerprint)
            unsigned = signing.refusal(signed, signatures, policy.signed_by, progress)
        pointed = {each.channel: each.fingerprint for each in self.channels(name)}
        verdicts = {each.kind: each for each in self.verdicts(name, fingerprint)}
        if reasons := refusals(policy, channel, fingerprint, pointed, verdicts, unsigned):
            raise VerdictError(
                f"{self.label}: {name}@{channel} may not be promoted to {fingerprint[:12]}: {'; '.join(reasons)}",
                hint=f"`shipfit artifacts policy {name}` shows the rules",
            )


def _require_counts(claim: Claim) -> None:
    if not claim.counts():
        raise EnvironmentFailure("this machine was suspended in the middle of a move", hint="run it again")
