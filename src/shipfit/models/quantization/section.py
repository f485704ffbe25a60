"""The fields of a ``quantization_config``, checked, and what is read out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any

from shipfit.core.errors import InputError
from shipfit.models.facts import Quantization
from shipfit.models.quantization.kinds import Kind

_LARGEST = 2**20


@dataclass(frozen=True)
class Module:
    """A module that a checkpoint may have quantized.

    Attributes:
        name: its full name in the checkpoint, such as ``model.layers.0.mlp.experts.0.up_proj``.
        usual: whether quantization schemes convert it unless told otherwise.
        expert: whether it belongs to a routed expert.
    """

    name: str
    usual: bool
    expert: bool


Layout = Callable[[Module], Kind | None]
"""How a module is stored; None where it is not quantized."""


@dataclass(frozen=True)
class Reading:
    """What a ``quantization_config`` says.

    Attributes:
        quantization: as a whole.
        layout: of each module.
        names: every name and pattern in it; they show how the checkpoint calls its layers.
    """

    quantization: Quantization
    layout: Layout
    names: Collection[str] = ()


class Section:
    """Reads fields of a ``quantization_config``; a wrong one is refused with its name and file."""

    def __init__(self, values: Any, source: str, path: str = "quantization_config") -> None:
        self.source = source
        self.path = path
        if not isinstance(values, Mapping):
            raise self.wrong(None, "is not an object")
        self.values: Mapping[str, Any] = values

    def method(self) -> str:
        """The ``quant_method``; ModelOpt's files may leave it out."""
        named = self.values.get("quant_method")
        if isinstance(named, str) and named:
            return named.lower()
        if "quant_algo" in self.values or "quantization" in self.values:
            return "modelopt"
        raise self.wrong(None, "has no quant_method")

    def integer(self, *keys: str, default: int | None = None) -> int:
        """A whole number under the first of several names that is there."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= _LARGEST:
                raise self.wrong(key, f"is {shown(value)}, not a whole number from -1 to {_LARGEST:,}")
            return value
        if default is None:
            raise self.wrong(keys[0], "is missing")
        return default

    def flag(self, key: str, default: bool) -> bool:
        """A truth value."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, f"is {shown(value)}, not true or false")
        return value

    def block(self, key: str) -> tuple[int, int]:
        """Rows and columns of a block that shares a scale; ``128x128`` in older files."""
        value = self.values.get(key)
        shape = (
            [int(part) for part in value.split("x") if part.isdigit()] if isinstance(value, str) else value
        )
        if isinstance(shape, list) and len(shape) == 2:
            rows, columns = shape
            if type(rows) is type(columns) is int and 0 < rows <= _LARGEST and 0 < columns <= _LARGEST:
                return rows, columns
        raise self.wrong(key, f"is {shown(value)}, not rows and columns of a block")

    def names(self, *keys: str) -> list[str]:
        """A list of names under the first of several keys that has one; empty where none has."""
        for key in keys:
            value = self.values.get(key)
            if not value:
                continue
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise self.wrong(key, "is not a list of names")
            return value
        return []

    def mapping(self, key: str) -> Mapping[str, Any]:
        """An object; empty where it is not there."""
        value = self.values.get(key)
        if not value:
            return {}
        if not isinstance(value, Mapping):
            raise self.wrong(key, "is not an object")
        return value

    def part(self, key: str, values: Any) -> Section:
        """A section inside of this one."""
        return Section(values, self.source, f"{self.path}.{key}")

    def wrong(self, key: str | None, what: str) -> InputError:
        """The one line for a field."""
        return InputError(
            what,
            hint="use the config.json that the model was published with",
            where=self.source,
            field=f"{self.path}.{key}" if key else self.path,
        )
