"""Channels: named pointers, moved by conditional write so that no move is ever lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from shipfit.artifacts.documents import read_document
from shipfit.artifacts.layout import channel_key
from shipfit.artifacts.manifest import SCHEMA_VERSION, Channel, Move
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.records import now, who
from shipfit.core.errors import EnvironmentFailure

_TRIES = 12
"""Each failed try means that another writer moved the channel: a dozen in a row is no longer a race."""


def read_channel(objects: Objects, name: str, channel: str) -> Channel | None:
    """A channel; None if it was never set.

    Raises:
        EnvironmentFailure: the store failed, or the document cannot be read.
    """
    return _read(objects, name, channel, f"reading channel {channel} of {name}")[0]


def move_channel(
    objects: Objects, name: str, channel: str, choose: Callable[[Channel | None], Move | None]
) -> Channel:
    """Add a move to a channel, whatever others do to it meanwhile.

    Args:
        choose: takes the channel as it is and returns the move to make; None leaves it where it is. Called again
            after every lost race.

    Raises:
        EnvironmentFailure: the store failed, or other writers were faster time and again.
    """
    key = channel_key(name, channel)
    doing = f"moving channel {channel} of {name}"
    for attempt in range(_TRIES):
        current, version = _read(objects, name, channel, doing)
        move = choose(current)
        if move is None and current is not None:
            return current
        if move is not None:
            moves = [*(current.moves if current else []), move]
            moved = Channel(schema_version=SCHEMA_VERSION, name=name, channel=channel, moves=moves)
            content = moved.model_dump_json(indent=2).encode()
            if version is None:
                written = objects.create(key, content, doing)
            else:
                written = objects.replace(key, content, version, doing)
            if written:
                return moved
        time.sleep(random.uniform(0, 0.05 * (attempt + 1)))  # noqa: S311 - spreads writers, guards nothing
    raise EnvironmentFailure(
        f"{objects.label}: others moved channel {channel} of {name} {_TRIES} times in a row",
        hint="see who else promotes, then run the command again",
    )


def promotion(fingerprint: str) -> Move:
    """A move forward."""
    return Move(action="promote", fingerprint=fingerprint, at=now(), by=who())


def rollback(fingerprint: str) -> Move:
    """A move back."""
    return Move(action="rollback", fingerprint=fingerprint, at=now(), by=who())


def _read(
    objects: Objects, name: str, channel: str, doing: str
) -> tuple[Channel, dict[str, str]] | tuple[None, None]:
    value = objects.read(channel_key(name, channel), doing)
    if value is None:
        return None, None
    what = f"channel {channel} of {name}"
    return read_document(value.content, Channel, what, objects.label), value.version
