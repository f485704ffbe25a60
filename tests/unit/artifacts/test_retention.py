from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.artifacts import Channel, Move, Pin
from shipfit.artifacts.retention import Kept, References, decide
from shipfit.spec import Retention

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULES = Retention(keep=1, older_than="30d", rollbacks=1)


def _kept(letter: str, days: float, *, committed: bool = True, held_hours: float | None = None) -> Kept:
    at = NOW - timedelta(days=days)
    held = None if held_hours is None else NOW - timedelta(hours=held_hours)
    return Kept(letter * 64, at if committed else None, at, 1000, held)


def _channel(*letters: str) -> Channel:
    moves = [Move(action="promote", fingerprint=letter * 64, at=NOW) for letter in letters]
    return Channel(schema_version=1, name="demo", channel="stable", moves=moves)


def _pin(letter: str) -> Pin:
    return Pin(name="demo", fingerprint=letter * 64, reason="baseline", at=NOW, by="me@here")


@pytest.mark.parametrize(
    ("kept", "references", "goes", "why"),
    [
        (_kept("a", 90), References(), True, "90 days old, not one of the newest 1, and nothing names it"),
        (_kept("a", 20), References(), False, "20 days old, less than 30d"),
        (_kept("a", 90), References([_channel("a")]), False, "stable points to it"),
        (_kept("a", 90), References([_channel("a", "b")]), False, "a rollback of stable leads to it"),
        # Rollbacks that reach further back than the rules ask for keep nothing.
        (_kept("a", 90), References([_channel("a", "b", "c")]), True, "nothing names it"),
        (_kept("a", 90), References(pins=[_pin("a")]), False, "pinned: baseline"),
        (_kept("a", 90), References(in_use={"a" * 64: "deployment d"}), False, "deployment d runs it"),
        (_kept("a", 90, held_hours=0.1), References(), False, "a channel or a pin is being moved to it"),
        (_kept("a", 90, held_hours=2), References(), True, "nothing names it"),
        (_kept("a", 2, committed=False), References(), True, "an upload that was cut off 2 days ago"),
        (_kept("a", 0.5, committed=False), References(), False, "an upload that was written to 12 h ago"),
    ],
)
def test_an_artifact_goes_only_where_nothing_keeps_it(
    kept: Kept, references: References, goes: bool, why: str
) -> None:
    newest = _kept("f", 40)
    first, second = (
        decide([kept, newest], references, RULES, NOW)
        if kept.touched < newest.touched
        else decide([newest, kept], references, RULES, NOW)[::-1]
    )
    assert (goes, kept.fingerprint) == (first.goes, first.fingerprint)
    assert why in "; ".join(first.why)
    assert second.goes is (kept.committed is not None and kept.touched > newest.touched)


@given(
    ages=st.lists(st.integers(0, 100), min_size=1, max_size=8),
    keep=st.integers(0, 9),
    pointed=st.integers(0, 7),
)
def test_the_newest_and_what_is_pointed_to_always_stay(ages: list[int], keep: int, pointed: int) -> None:
    letters = "abcdef01"
    kept = [_kept(letters[number], days) for number, days in enumerate(ages)]
    named = letters[pointed % len(ages)]
    rules = Retention(keep=keep, older_than="0h", rollbacks=0)
    decisions = {
        each.fingerprint: each.goes for each in decide(kept, References([_channel(named)]), rules, NOW)
    }
    assert len(kept) == len(decisions)
    assert not decisions[named * 64]
    stays = sum(not goes for goes in decisions.values())
    assert min(keep, len(kept)) <= stays <= min(keep, len(kept)) + 1
