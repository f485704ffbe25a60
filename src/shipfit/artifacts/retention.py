"""Which artifacts go and which stay, and why: values in, reasons out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shipfit.artifacts.commit import ABANDONED
from shipfit.artifacts.guards import COUNTS_FOR
from shipfit.artifacts.manifest import Channel
from shipfit.artifacts.records import Pin
from shipfit.spec import Retention
from shipfit.spec.policy import age


@dataclass(frozen=True)
class Kept:
    """What the store holds under one fingerprint.

    Attributes:
        committed: when its manifest was written, by the store's clock; None for files without a manifest.
        touched: when anything of it was last written, by the same.
        size: bytes of all of it.
        held: when the latest hold on it was written; None without one.
    """

    fingerprint: str
    committed: datetime | None
    touched: datetime
    size: int
    held: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of one fingerprint.

    Attributes:
        goes: whether it is removed.
        why: every reason that keeps it, or why nothing does.
    """

    fingerprint: str
    goes: bool
    why: list[str]
    size: int


@dataclass(frozen=True)
class References:
    """All that names artifacts.

    Attributes:
        in_use: by fingerprint, what runs it, such as "deployment demo on this machine".
    """

    channels: Sequence[Channel] = ()
    pins: Sequence[Pin] = ()
    in_use: Mapping[str, str] = field(default_factory=dict)


def decide(kept: Sequence[Kept], references: References, rules: Retention, now: datetime) -> list[Decision]:
    """What becomes of every fingerprint of a name, the oldest first.

    Args:
        now: by the clock that ``kept`` was dated by: the store's. A machine whose clock is wrong must not remove more.
    """
    newest = sorted((each for each in kept if each.committed), key=_age_key, reverse=True)[: rules.keep]
    decisions = []
    for each in sorted(kept, key=_age_key):
        reasons = _reasons(each, references, rules, now)
        if each in newest:
            reasons.append(f"is one of the newest {rules.keep}")
        decisions.append(
            Decision(each.fingerprint, not reasons, reasons or [_unneeded(each, rules, now)], each.size)
        )
    return decisions


def _reasons(each: Kept, references: References, rules: Retention, now: datetime) -> list[str]:
    """What keeps it, however old it is."""
    reasons = []
    for channel in references.channels:
        reach = channel.reach[: rules.rollbacks + 1]
        if each.fingerprint == channel.fingerprint:
            reasons.append(f"{channel.channel} points to it")
        elif each.fingerprint in reach:
            reasons.append(f"a rollback of {channel.channel} leads to it")
    reasons += [f"pinned: {pin.reason}" for pin in references.pins if pin.fingerprint == each.fingerprint]
    if each.fingerprint in references.in_use:
        reasons.append(f"{references.in_use[each.fingerprint]} runs it")
    if each.held and now - each.held < COUNTS_FOR:
        reasons.append("a channel or a pin is being moved to it")
    if each.committed is None and now - each.touched < ABANDONED:
        reasons.append(f"an upload that was written to {_spoken(now - each.touched)} ago")
    if each.committed and now - each.committed < age(rules.older_than):
        reasons.append(f"{_spoken(now - each.committed)} old, less than {rules.older_than}")
    return reasons


def _unneeded(each: Kept, rules: Retention, now: datetime) -> str:
    if each.committed is None:
        return f"an upload that was cut off {_spoken(now - each.touched)} ago"
    return f"{_spoken(now - each.committed)} old, not one of the newest {rules.keep}, and nothing names it"


def _age_key(each: Kept) -> tuple[datetime, str]:
    return (each.committed or each.touched, each.fingerprint)


def _spoken(span: timedelta) -> str:
    hours = max(span, timedelta()) / timedelta(hours=1)
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
