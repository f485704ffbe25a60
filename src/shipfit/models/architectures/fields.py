"""Reading the fields of a ``config.json``: a wrong one is refused with its name and file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from reprlib import repr as shown
from typing import Any, NoReturn

from shipfit.core.errors import InputError

_LARGEST = 2**40
_HINT = "use the config.json that the model was published with"

_SYNONYMS = {"num_experts": "num_local_experts", "num_local_experts": "num_experts"}
"""What one checkpoint of an architecture calls one way and another the other: transformers 5 writes Qwen3's experts
under the second name (``attribute_map`` in models/qwen3_moe/configuration_qwen3_moe.py)."""


class Fields:
    """The fields of a configuration, or of a section of it.

    Args:
        config: the fields; null is the same as missing.
        source: the file; for messages.
        path: the section's name with a dot behind it, such as ``text_config.``; for messages.
        defaults: what transformers takes for fields that are missing.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        source: str,
        path: str = "",
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.source = source
        self.path = path
        self._defaults = defaults or {}

    def section(self, *keys: str, defaults: Mapping[str, Any] | None = None) -> Fields:
        """The first of some sections that is there; an empty one where none is, so that its defaults hold.

        Raises:
            InputError: it is not an object.
        """
        for key in keys:
            value = self.config.get(key)
            if isinstance(value, Mapping):
                return Fields(value, self.source, f"{self.path}{key}.", defaults)
            if value is not None:
                self.refuse(key, f"is {shown(value)}, not an object")
        return Fields({}, self.source, f"{self.path}{keys[0]}.", defaults)

    def has(self, key: str) -> bool:
        """Whether a field is there, be it by its default."""
        return self.raw(key) is not None

    def raw(self, key: str) -> Any:
        """Whatever stands there; None where nothing does."""
        for name in (key, _SYNONYMS.get(key, key)):
            if name in self.config:
                return self.config[name]  # a null of the file's own is meant
        return self._defaults.get(key)

    def number(self, *keys: str, default: int | None = None, zero: bool = False) -> int:
        """A whole number under the first of several names that is there; a list that says one for every layer is that.

        Args:
            keys: the names.
            default: the number where none is there; None: one must be.
            zero: whether 0 is one.

        Raises:
            InputError: it is missing, or no such number.
        """
        for key in keys:
            value = self.raw(key)
            if isinstance(value, list) and value and value.count(value[0]) == len(value):
                value = value[0]
            if value is not None:
                return self.checked(key, value, zero=zero)
        if default is None:
            self.refuse(keys[0], "is missing")
        return default

    def numbers(self, key: str, length: int) -> tuple[int, ...]:
        """A number for each layer: a list of them, or one for all.

        Raises:
            InputError: the list is not as long, or holds something else.
        """
        value = self.raw(key)
        if isinstance(value, list):
            self.same_length(key, value, length)
            return tuple(self.checked(key, each, zero=True) for each in value)
        return (self.number(key),) * length

    def share(self, key: str) -> float | None:
        """A number that may be a fraction; None where the field is missing.

        Raises:
            InputError: it is no positive number.
        """
        value = self.raw(key)
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 1 / _LARGEST < value < _LARGEST
        ):
            self.refuse(key, f"is {shown(value)}, not a positive number")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """Yes or no.

        Raises:
            InputError: it is neither.
        """
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(key, f"is {shown(value)}, not true or false")
        return value

    def texts(self, key: str, length: int, known: Sequence[str]) -> tuple[str, ...] | None:
        """A word for each layer out of those known; None where the field is missing.

        Raises:
            InputError: the list is not as long, or holds something else.
        """
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self.refuse(key, f"is {shown(value)}, not a list")
        self.same_length(key, value, length)
        for word in value:
            if word not in known:
                near = difflib.get_close_matches(str(word), known, n=1)
                self.refuse(key, f"names {shown(word)}, not one of {', '.join(near or known)}")
        return tuple(value)

    def checked(self, key: str, value: Any, *, zero: bool = False) -> int:
        """A value of a field, if it is a number that a model may have.

        Raises:
            InputError: it is not.
        """
        least = 0 if zero else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.refuse(key, f"is {shown(value)}, not a whole number from {least} on")
        if value >= _LARGEST:
            self.refuse(key, f"is {shown(value)}, more than any model has")
        return value

    def same_length(self, key: str, value: Sequence[Any], length: int) -> None:
        """Refuses a list that does not name every layer.

        Raises:
            InputError: it is of another length.
        """
        if len(value) != length:
            self.refuse(key, f"lists {len(value)} layers, not {length}")

    def refuse(self, key: str, what: str) -> NoReturn:
        """Refuses a field.

        Raises:
            InputError: always.
        """
        raise InputError(what, hint=_HINT, where=self.source, field=f"{self.path}{key}")
