"""Removing artifacts that nothing names any more, manifests first, safe against whatever else happens in the store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shipfit.artifacts.channels import read_channel
from shipfit.artifacts.documents import read_document
from shipfit.artifacts.guards import COUNTS_FOR, Claim, mark
from shipfit.artifacts.layout import (
    artifacts_prefix,
    channels_prefix,
    manifest_key,
    pins_prefix,
    works_prefix,
)
from shipfit.artifacts.objects import Object, Objects
from shipfit.artifacts.records import Pin
from shipfit.artifacts.retention import Decision, Kept, References, decide
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import Progress
from shipfit.spec import Retention


@dataclass(frozen=True)
class _Seen:
    """All objects of a name at one moment.

    Attributes:
        now: that moment, by the store's clock.
    """

    now: datetime
    objects: list[Object]
    kept: list[Kept]
    marked: Mapping[str, datetime]

    def of(self, name: str, fingerprint: str) -> list[str]:
        """The keys of what belongs to one fingerprint, its manifest left out."""
        folders = tuple(f"{prefix(name)}/{fingerprint}/" for prefix in (artifacts_prefix, works_prefix))
        manifest = manifest_key(name, fingerprint)
        return [each.key for each in self.objects if each.key.startswith(folders) and each.key != manifest]


def plan_collection(
    objects: Objects, name: str, rules: Retention, in_use: Mapping[str, str]
) -> list[Decision]:
    """What ``collect`` would do at this moment.

    Raises:
        EnvironmentFailure: the store failed.
    """
    return _decide(objects, name, rules, in_use)[1]


def collect(
    objects: Objects, name: str, rules: Retention, in_use: Mapping[str, str], progress: Progress
) -> list[Decision]:
    """Remove the artifacts of a name that the rules let go; returns what became of each.

    Everything that is to go is marked first, then all that could keep it is looked at again. A removal that was cut
    off leaves at most files without a manifest, which nobody sees and a later call removes.

    Raises:
        EnvironmentFailure: the store failed.
    """
    seen, first = _decide(objects, name, rules, in_use)
    claims: dict[str, Claim] = {}
    try:
        # What others marked and forgot is taken over, whether it goes or not, so that the mark ends.
        forgotten = {each for each, since in seen.marked.items() if seen.now - since >= COUNTS_FOR}
        for fingerprint in forgotten.union(each.fingerprint for each in first if each.goes):
            if claim := mark(objects, name, fingerprint, forgotten=fingerprint in forgotten):
                claims[fingerprint] = claim
        if not claims:
            return [_left(each) for each in first]
        seen, second = _decide(objects, name, rules, in_use)
        return [
            _remove(objects, name, each, seen, progress)
            if each.goes and (claim := claims.get(each.fingerprint)) and claim.counts()
            else _left(each)
            for each in second
        ]
    finally:
        for claim in claims.values():
            with suppress(EnvironmentFailure):  # it is forgotten after an hour; another failure says why
                claim.end()


def _remove(objects: Objects, name: str, each: Decision, seen: _Seen, progress: Progress) -> Decision:
    doing = f"removing {name} ({each.fingerprint[:12]})"
    progress.update(doing)
    objects.delete([manifest_key(name, each.fingerprint)], doing)  # first: nothing half is visible
    objects.delete(seen.of(name, each.fingerprint), doing)
    return each


def _left(each: Decision) -> Decision:
    """One that the rules let go and that was not removed: another remover was at it."""
    if not each.goes:
        return each
    return Decision(each.fingerprint, False, ["another `shipfit artifacts gc` is removing it"], each.size)


def _decide(
    objects: Objects, name: str, rules: Retention, in_use: Mapping[str, str]
) -> tuple[_Seen, list[Decision]]:
    # Holds are listed before channels and pins are read: whoever has ended by then has moved what it held for.
    seen = _look(objects, name)
    doing = f"reading what names the artifacts of {name}"
    channels = [
        read_channel(objects, name, each.key.rpartition("/")[2].removesuffix(".json"))
        for each in objects.below(channels_prefix(name), doing)
        if each.key.endswith(".json")
    ]
    references = References([channel for channel in channels if channel], pins(objects, name), in_use)
    return seen, decide(seen.kept, references, rules, seen.now)


def pins(objects: Objects, name: str) -> list[Pin]:
    """The pins of a name.

    Raises:
        EnvironmentFailure: the store failed, or a pin cannot be read.
    """
    doing = f"reading the pins of {name}"
    values = [objects.read(each.key, doing) for each in objects.below(pins_prefix(name), doing)]
    return [read_document(value.content, Pin, f"a pin of {name}", objects.label) for value in values if value]


def _look(objects: Objects, name: str) -> _Seen:
    doing = f"listing {name}"
    clock = f"{name}/guards/clock"
    objects.write(clock, b"", doing)
    found = objects.below(name, doing)
    now = next(each.changed for each in found if each.key == clock)
    belongs: dict[str, list[Object]] = {}
    held: dict[str, datetime] = {}
    marked: dict[str, datetime] = {}
    for each in found:
        match each.key.removeprefix(f"{name}/").split("/"):
            case ["artifacts" | "work", fingerprint, *_]:
                belongs.setdefault(fingerprint, []).append(each)
            case ["guards", "holds", fingerprint, _]:
                held[fingerprint] = max(each.changed, held.get(fingerprint, each.changed))
            case ["guards", "removals", document] if document.endswith(".json"):
                marked[document.removesuffix(".json")] = each.changed
    kept = [
        Kept(
            fingerprint,
            committed=next(
                (each.changed for each in parts if each.key == manifest_key(name, fingerprint)), None
            ),
            touched=max(each.changed for each in parts),
            size=sum(each.size for each in parts),
            held=held.get(fingerprint),
        )
        for fingerprint, parts in belongs.items()
    ]
    return _Seen(now, found, kept, marked)
