"""Keeping promotion and removal of one artifact from each other, in a store that knows no transactions.

Who is about to name an artifact (a promotion, a rollback, a pin) first writes a hold, then looks for a removal mark.
Who is about to remove one first writes the mark, then looks for holds, channels and pins. Whatever the order of the
four steps, at least one of the two sees the other and gives way, since object stores show every write at once
(docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel).

A hold or a mark outlives its writer only if that was killed; by the store's own clock, it counts for an hour.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from shipfit.artifacts.layout import holds_prefix, removal_key
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.records import who
from shipfit.core.errors import EnvironmentFailure

COUNTS_FOR = timedelta(hours=1)
"""How long a hold or a mark counts. Nobody needs minutes: each stands only while small documents are written."""


class Claim:
    """A hold or a mark of this process."""

    def __init__(self, objects: Objects, key: str) -> None:
        self._objects = objects
        self._key = key
        self._since = _awake_or_not()

    def counts(self) -> bool:
        """Whether nobody can take it for forgotten yet, for long enough to write a document."""
        return _awake_or_not() - self._since < COUNTS_FOR.total_seconds() / 2

    def end(self) -> None:
        """Take it back.

        Raises:
            EnvironmentFailure: the store failed.
        """
        self._objects.delete([self._key], "giving an artifact free")


@contextmanager
def hold(objects: Objects, name: str, fingerprint: str) -> Iterator[Claim]:
    """Keep an artifact from being removed while the block names it.

    Raises:
        EnvironmentFailure: it is being removed, or the store failed.
    """
    doing = f"holding {name} ({fingerprint[:12]})"
    key = f"{holds_prefix(name, fingerprint)}/{uuid.uuid4().hex}.json"
    claim = Claim(objects, key)
    objects.write(key, b"{}", doing)
    try:
        if is_marked(objects, name, fingerprint, key):
            raise EnvironmentFailure(
                f"{objects.label}: {name} ({fingerprint[:12]}) is being removed by `shipfit artifacts gc`",
                hint="take another, or run this again when that has ended (cut off, it counts for an hour)",
            )
        yield claim
    finally:
        with suppress(
            EnvironmentFailure
        ):  # left behind, it delays a removal for an hour and does nothing else
            claim.end()


def is_marked(objects: Objects, name: str, fingerprint: str, written: str) -> bool:
    """Whether somebody is about to remove an artifact.

    Args:
        written: key of what the caller has just written: by its date, and so by the store's clock, a mark is old.

    Raises:
        EnvironmentFailure: the store failed.
    """
    doing = f"looking whether {name} ({fingerprint[:12]}) is being removed"
    mark = objects.find(removal_key(name, fingerprint), doing)
    if mark is None:
        return False
    now = objects.find(written, doing)
    return now is None or now.changed - mark.changed < COUNTS_FOR


def mark(objects: Objects, name: str, fingerprint: str, *, forgotten: bool) -> Claim | None:
    """Take the right to remove an artifact; None while another remover has it.

    Args:
        forgotten: whether a mark is there already that does not count any more.

    Raises:
        EnvironmentFailure: the store failed.
    """
    doing = f"marking {name} ({fingerprint[:12]}) for removal"
    key = removal_key(name, fingerprint)
    claim = Claim(objects, key)
    content = f'{{"by": "{who()}", "id": "{uuid.uuid4().hex}"}}'.encode()
    if not forgotten:
        return claim if objects.create(key, content, doing) else None
    old = objects.read(key, doing)
    return claim if old and objects.replace(key, content, old.version, doing) else None


def _awake_or_not() -> float:
    """Seconds, those in which the machine was suspended included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
