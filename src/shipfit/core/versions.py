"""Releases of vLLM, in an order."""

from __future__ import annotations

import re

from shipfit.core.errors import InputError

_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)+)")


def release_numbers(version: str) -> tuple[int, ...]:
    """A release as numbers that compare: ``v0.6.3.post1`` and ``0.6.3rc1.dev6`` are (0, 6, 3).

    Raises:
        InputError: it does not begin with numbers.
    """
    found = _NUMBERS.match(version)
    if found is None:
        raise InputError(f"{version!r} is no release of vLLM", hint="write it as 0.32.0")
    return tuple(int(number) for number in found[1].split("."))
