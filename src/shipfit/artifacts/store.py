"""The store: artifacts and channels of an object store, by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shipfit.artifacts import channels, publish, pull
from shipfit.artifacts.documents import read_document
from shipfit.artifacts.download import verify_stored
from shipfit.artifacts.layout import artifacts_prefix, channels_prefix, manifest_key, uploads_prefix
from shipfit.artifacts.manifest import Channel, Manifest, ManifestDraft, Move
from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import Progress
from shipfit.spec.base import Name

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_ABBREVIATED = re.compile(r"[0-9a-f]{8,63}")
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Store:
    """Artifacts and channels. Made by ``open_store``.

    Args:
        objects: where they lie.
        free: says how many bytes may still be written, where that can be known.
    """

    def __init__(self, objects: Objects, free: Callable[[], int] | None = None) -> None:
        self._objects = objects
        self._free = free

    @property
    def label(self) -> str:
        """What to call this store: its URL without credentials."""
        return self._objects.label

    def names(self) -> list[str]:
        """Every name that has a committed artifact, sorted.

        Raises:
            EnvironmentFailure: the store failed.
        """
        folders = self._objects.folders("", "listing the artifacts")
        return [name for name in folders if _is_name(name) and self.fingerprints(name)]

    def fingerprints(self, name: str) -> list[str]:
        """The committed artifacts of a name, sorted.

        Raises:
            EnvironmentFailure: the store failed.
        """
        found = self._objects.below(artifacts_prefix(_checked(name, "name")), f"listing {name}")
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
        found = self._objects.below(
            channels_prefix(_checked(name, "name")), f"listing the channels of {name}"
        )
        stems = [
            entry.key.rpartition("/")[2].removesuffix(".json")
            for entry in found
            if entry.key.endswith(".json")
        ]
        read = [channels.read_channel(self._objects, name, stem) for stem in sorted(stems)]
        return [channel for channel in read if channel]

    def channel(self, name: str, channel: str) -> Channel | None:
        """A channel; None if it was never set.

        Raises:
            EnvironmentFailure: the store failed.
        """
        return channels.read_channel(self._objects, _checked(name, "name"), _checked(channel, "channel"))

    def manifest(self, name: str, fingerprint: str) -> Manifest | None:
        """The manifest of a committed artifact; None if there is none.

        Raises:
            EnvironmentFailure: the store failed, or the manifest is damaged or names another artifact.
        """
        what = f"the manifest of {name} ({fingerprint[:12]})"
        value = self._objects.read(manifest_key(_checked(name, "name"), fingerprint), f"reading {what}")
        if value is None:
            return None
        manifest = read_document(value.content, Manifest, what, self.label)
        if (manifest.name, manifest.fingerprint) != (name, fingerprint):
            raise EnvironmentFailure(
                f"{self.label}: {what} is refused: it is that of {manifest.name} ({manifest.fingerprint[:12]})"
            )
        return manifest

    def accepted(self, name: str, fingerprint: str) -> Manifest:
        """The manifest of an artifact that may be used.

        Raises:
            EnvironmentFailure: the manifest is missing, or its gate did not pass.
        """
        manifest = self.manifest(name, fingerprint)
        refused = f"{self.label}: artifact {name} ({fingerprint[:12]}) is refused"
        if manifest is None:
            raise EnvironmentFailure(
                f"{refused}: manifest.json is missing, so it was never committed or was removed",
                hint="publish it again, or roll the channel back",
            )
        if not manifest.gate.passed:
            raise EnvironmentFailure(
                f"{refused}: manifest.json says that its gate did not pass", hint="roll the channel back"
            )
        return manifest

    def check_writable(self, name: str) -> None:
        """Find out before hours of work whether publishing can succeed: write a small object and remove it.

        Raises:
            EnvironmentFailure: the store cannot be reached, or does not let us write.
        """
        key = f"{_checked(name, 'name')}/write-check"
        doing = f"checking that {name} may be published"
        self._objects.create(key, b"", doing)
        self._objects.delete([key], doing)

    def publish(self, folder: Path, draft: ManifestDraft, progress: Progress) -> Manifest:
        """Upload an artifact and commit it. An artifact that is committed already is left as it is.

        Args:
            folder: its files, all but hidden ones.
            draft: what is known of it.

        Returns:
            The manifest that stands in the store, which another writer may have written.

        Raises:
            InputError: the gate did not pass, or the folder holds nothing that can be published.
            EnvironmentFailure: the store failed or is full; nothing is visible then.
        """
        if not draft.gate.passed:
            raise InputError(f"{draft.name}: its gate did not pass, so it cannot be published")
        committed = self.manifest(draft.name, draft.fingerprint)
        if committed is None:
            with progress.step(f"publishing {draft.name} ({draft.fingerprint[:12]})"):
                committed = self._publish(folder, draft, progress)
        publish.remove_abandoned(self._objects, committed)
        return committed

    def verify(self, name: str, fingerprint: str, progress: Progress) -> Manifest:
        """Read every file in the store and compare it with the manifest.

        Raises:
            EnvironmentFailure: a file is missing or differs (named), or the gate did not pass.
        """
        manifest = self.accepted(name, fingerprint)
        with progress.step(f"verifying {name} ({fingerprint[:12]})"):
            verify_stored(self._objects, manifest, progress)
        return manifest

    def pull(self, name: str, channel_or_fingerprint: str, progress: Progress) -> pull.Pulled:
        """Bring an artifact into the cache, every file verified by digest; also when it is there already.

        Raises:
            InputError: no such name, channel or fingerprint.
            EnvironmentFailure: a file in the store is missing or differs (named), the store failed, or the disk is
                full.
        """
        manifest = self.accepted(name, self.resolve(name, channel_or_fingerprint))
        return pull.pull(self._objects, manifest, progress)

    def promote(self, name: str, channel: str, fingerprint: str) -> Channel:
        """Point a channel to an artifact.

        Raises:
            InputError: the channel's name is not one.
            EnvironmentFailure: the artifact is not there or its gate did not pass, or the store failed.
        """
        self.accepted(name, fingerprint)

        def choose(current: Channel | None) -> Move | None:
            return None if current and current.fingerprint == fingerprint else channels.promotion(fingerprint)

        return channels.move_channel(self._objects, name, _checked(channel, "channel"), choose)

    def rollback(self, name: str, channel: str) -> Channel:
        """Point a channel to where it pointed before its latest promotion.

        Raises:
            InputError: there is no such channel, or nothing before.
            EnvironmentFailure: the artifact before is not there any more, or the store failed.
        """
        _checked(channel, "channel")

        def choose(current: Channel | None) -> Move:
            if current is None:
                raise self._unknown(name, channel)
            if current.previous is None:
                raise InputError(
                    f"{self.label}: channel {channel} of {name} has nothing to go back to",
                    hint=f"promote another artifact (`shipfit artifacts ls {name}` lists them)",
                )
            self.accepted(name, current.previous)
            return channels.rollback(current.previous)

        return channels.move_channel(self._objects, name, channel, choose)

    def resolve(self, name: str, channel_or_fingerprint: str) -> str:
        """The fingerprint that a channel, a fingerprint or its first 8 or more digits stand for.

        Raises:
            InputError: no such name, channel or fingerprint; names the nearest.
        """
        _checked(name, "name")
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

    def _publish(self, folder: Path, draft: ManifestDraft, progress: Progress) -> Manifest:
        needed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if self._free and needed > self._free():
            raise _no_space(needed, self._free())
        try:
            committed = publish.publish(self._objects, folder, draft, progress)
        except EnvironmentFailure as error:
            if self._free and self._free() <= 0:  # others filled it; a store only says "internal error" then
                raise _no_space(needed, self._free()) from error
            raise
        return committed or self.accepted(draft.name, draft.fingerprint)


def _no_space(needed: int, free: int) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"no space left on the disk for the embedded store: {needed / 2**20:,.0f} MiB are to be written and"
        f" {max(free, 0) / 2**20:,.0f} MiB are free",
        hint="free some, or set SHIPFIT_DATA_DIR to another disk",
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


def _checked(text: str, what: str) -> str:
    """A name or channel that may become part of a key.

    Raises:
        InputError: it may not.
    """
    if _is_name(text):
        return text
    raise InputError(
        f"{text!r} is not a {what}", hint="use lower-case letters, digits, dots and dashes, at most 53"
    )
