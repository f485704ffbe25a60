"""The fingerprint: one hash of all that determines an artifact, the same on every machine.

What goes in is the pipeline's business (source model and its exact revision, recipe, the engine's lock, digests of
the calibration and gate data); how it becomes a hash is decided here. The inputs are written as
canonical JSON (keys sorted, no spaces, ASCII, a whole number always without a fraction) and hashed by SHA-256. So
neither the order of keys, nor a tuple in place of a list, nor ``1.0`` in place of ``1`` makes another artifact.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_EXACT = 2**53
"""Above this a float no longer holds every whole number, and turning it into one would invent digits."""


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """The SHA-256, in hexadecimal, of the canonical JSON of ``inputs``.

    Args:
        inputs: JSON-compatible values; keys are texts.

    Raises:
        TypeError: a value has no JSON form (a mistake of the caller, not of the user).
        ValueError: a number is not finite.
    """
    return hashlib.sha256(canonical_json(inputs)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one way of writing ``value`` as JSON."""
    text = json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return text.encode("ascii")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of what is fingerprinted must be texts")
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return value
