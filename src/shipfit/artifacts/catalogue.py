"""What artifacts and channels a store has, by name."""

from __future__ import annotations

import difflib
import re

from pydantic import TypeAdapter, ValidationError

from shipfit.artifacts.channels import read_channel
from shipfit.artifacts.documents import read_document
from shipfit.artifacts.layout import artifacts_prefix, channels_prefix, manifest_key, uploads_prefix
from shipfit.artifacts.manifest import Channel, Manifest
from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.spec.base import Name

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_ABBREVIATED = re.compile(r"[0-9a-f]{8,63}")
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Catalogue:
    """What is in a store. ``Reader`` adds what is said of it and brings it here.

    Args:
        objects: where it lies.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def label(self) -> str:
        """What to call this store: its URL without credentials."""
        return self._objects.label

    def names(self, *, committed: bool = True) -> list[str]:
        """Every name that has an artifact, sorted.

        Args:
            committed: only those with one that can be seen; else also those of uploads.

        Raises:
            EnvironmentFailure: the store failed.
        """
        folders = [name for name in self._objects.folders("", "listing the artifacts") if _is_name(name)]
        return [name for name in folders if not committed or self.fingerprints(name)]

    def fingerprints(self, name: str) -> list[str]:
        """The committed artifacts of a name, sorted.

        Raises:
            EnvironmentFailure: the store failed.
        """
        found = self._objects.below(artifacts_prefix(checked(name, "name")), f"listing {name}")
        parts = [entry.key.split("/")[-2:] for entry in found]
        return sorted(
            fingerprint
            for fingerprint, file in parts
            if file == "manifest.json" and _FINGERPRINT.fullmatch(fingerprint)
        )

    def channels(self, name: str) -> list[Channel]:
        """The channels of a name, sorted by their own names.

        Raises:
            EnvironmentFailure: the store failed.
        """
        found = self._objects.below(channels_prefix(checked(name, "name")), f"listing the channels of {name}")
        stems = [
            entry.key.rpartition("/")[2].removesuffix(".json")
            for entry in found
            if entry.key.endswith(".json")
        ]
        read = [read_channel(self._objects, name, stem) for stem in sorted(stems)]
        return [channel for channel in read if channel]

    def channel(self, name: str, channel: str) -> Channel | None:
        """A channel; None if it was never set.

        Raises:
            EnvironmentFailure: the store failed.
        """
        return read_channel(self._objects, checked(name, "name"), checked(channel, "channel"))

    def manifest(self, name: str, fingerprint: str) -> Manifest | None:
        """The manifest of a committed artifact; None if there is none.

        Raises:
            EnvironmentFailure: the store failed, or the manifest is damaged or names another artifact.
        """
        found = self._manifest(name, fingerprint)
        return found[0] if found else None

    def _manifest(self, name: str, fingerprint: str) -> tuple[Manifest, bytes] | None:
        """A manifest, and the same as it stands in the store: a later shipfit may write it differently."""
        what = f"the manifest of {name} ({fingerprint[:12]})"
        value = self._objects.read(manifest_key(checked(name, "name"), fingerprint), f"reading {what}")
        if value is None:
            return None
        manifest = read_document(value.content, Manifest, what, self.label)
        if (manifest.name, manifest.fingerprint) != (name, fingerprint):
            raise EnvironmentFailure(
                f"{self.label}: {what} is refused: it is that of {manifest.name} ({manifest.fingerprint[:12]})"
            )
        return manifest, value.content

    def accepted(self, name: str, fingerprint: str) -> Manifest:
        """The manifest of an artifact that may be used.

        Raises:
            EnvironmentFailure: the manifest is missing, or its gate did not pass.
        """
        return self._accepted(name, fingerprint)[0]

    def _accepted(self, name: str, fingerprint: str) -> tuple[Manifest, bytes]:
        found = self._manifest(name, fingerprint)
        refused = f"{self.label}: artifact {name} ({fingerprint[:12]}) is refused"
        if found is None:
            raise EnvironmentFailure(
                f"{refused}: manifest.json is missing, so it was never committed or was removed",
                hint="publish it again, or roll the channel back",
            )
        if not found[0].gate.passed:
            raise EnvironmentFailure(
                f"{refused}: manifest.json says that its gate did not pass", hint="roll the channel back"
            )
        return found

    def resolve(self, name: str, channel_or_fingerprint: str) -> str:
        """The fingerprint that a channel, a fingerprint or its first 8 or more digits stand for.

        Raises:
            InputError: no such name, channel or fingerprint; names the nearest.
        """
        checked(name, "name")
        if _FINGERPRINT.fullmatch(channel_or_fingerprint):
            uploads = uploads_prefix(name, channel_or_fingerprint)
            if self.manifest(name, channel_or_fingerprint) or self._objects.below(
                uploads, f"looking for {name}"
            ):
                return channel_or_fingerprint  # files without a manifest are refused by whoever asks for it
            raise self._unknown(name, channel_or_fingerprint)
        found = self.channel(name, channel_or_fingerprint)
        if found:
            return found.fingerprint
        if _ABBREVIATED.fullmatch(channel_or_fingerprint):
            matches = [full for full in self.fingerprints(name) if full.startswith(channel_or_fingerprint)]
            if len(matches) == 1:
                return matches[0]
        raise self._unknown(name, channel_or_fingerprint)

    def require_channel(self, name: str, channel: str) -> Channel:
        """A channel that must be there.

        Raises:
            InputError: no such name or channel; names the nearest.
            EnvironmentFailure: the store failed, or the document cannot be read.
        """
        found = self.channel(name, channel)
        if found is None:
            raise self._unknown(name, channel)
        return found

    def require_name(self, name: str) -> None:
        """Refuse a name that nothing in the store has.

        Raises:
            InputError: names the nearest.
            EnvironmentFailure: the store failed.
        """
        if checked(name, "name") not in self.names(committed=False):
            raise self._unknown(name, "")

    def _unknown(self, name: str, wanted: str) -> InputError:
        names = self.names()
        if name not in names:
            return InputError(f"{self.label}: nothing is called {name}", hint=_nearest(name, names, "names"))
        channel_names = [channel.channel for channel in self.channels(name)]
        if _FINGERPRINT.fullmatch(wanted) or _ABBREVIATED.fullmatch(wanted):
            near = [full[:12] for full in self.fingerprints(name)]
            return InputError(
                f"{self.label}: {name} has no artifact {wanted[:12]}",
                hint=_nearest(wanted[:12], near, "artifacts"),
            )
        return InputError(
            f"{self.label}: {name} has no channel {wanted}", hint=_nearest(wanted, channel_names, "channels")
        )


def _nearest(wanted: str, known: list[str], what: str) -> str:
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    return f"{what} there are: {', '.join(known)}" if known else f"there are no {what} yet"


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def checked(text: str, what: str) -> str:
    """A name or channel that may become part of a key.

    Raises:
        InputError: it may not.
    """
    if _is_name(text):
        return text
    raise InputError(
        f"{text!r} is not a {what}", hint="use lower-case letters, digits, dots and dashes, at most 53"
    )
