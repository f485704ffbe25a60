"""Sets of module names as configurations write them: names, wildcards, regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shipfit.core.errors import InputError


class Patterns:
    """Which modules a list of names means.

    A name stands for the module, all inside of it and all of that last name (``lm_head``, ``mlp.gate``); so does one
    with stars at its ends. A star elsewhere stands for anything, and ``re:`` begins a regular expression.

    Args:
        names: as the configuration lists them.
        source: the file; for messages.
        field: the field; for messages.

    Raises:
        InputError: a regular expression is none.
    """

    def __init__(self, names: Iterable[str], source: str, field: str) -> None:
        self._runs: set[str] = set()
        self._expressions: list[re.Pattern[str]] = []
        for name in names:
            if name.startswith("re:"):
                self._expressions.append(_compiled(name[3:], source, field))
                continue
            run = name.removeprefix("*").rstrip("*").strip(".")
            if "*" in run:
                inner = ".*".join(re.escape(part) for part in run.split("*"))
                self._expressions.append(re.compile(rf"(?:.*\.)?{inner}(?:\..*)?$"))
            elif run:
                self._runs.add(run)
        self._longest = max((run.count(".") + 1 for run in self._runs), default=0)

    def __contains__(self, name: str) -> bool:
        """Whether a module is meant."""
        if self._runs:
            parts = name.split(".")
            for start in range(len(parts)):
                for end in range(start + 1, min(len(parts), start + self._longest) + 1):
                    if ".".join(parts[start:end]) in self._runs:
                        return True
        return any(expression.match(name) for expression in self._expressions)


def _compiled(expression: str, source: str, field: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise InputError(
            f"{expression!r} is no regular expression: {error}",
            hint="use the config.json that the model was published with",
            where=source,
            field=field,
        ) from None
