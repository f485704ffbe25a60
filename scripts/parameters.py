"""A file of figures some of which are searched for: where they start, what they become, and the file that comes of it.

In the tree of such a file, a pair ``[start, factor]`` is a figure to search for; anything else is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_SHARES = {"reading", "computing", "attention", "link"}
_DIGITS = 3
_UNMOVED = 1e-3
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Parameter:
    """A figure to search for.

    Attributes:
        place: where it stands in the tree.
        start: its value where no row says otherwise.
        factor: by how much it may well differ.
    """

    place: Place
    start: float
    factor: float

    def value(self, at: float) -> float:
        """The figure so many factors away from its start; shares end at 1."""
        value: float = self.start * self.factor**at
        name = str(self.place[-1])
        return min(value, 1.0) if _SHARES & set(name.split("_")) and "narrow" not in name else value


class Tree:
    """A file's content with the figures to search for.

    Args:
        content: as read from YAML.
    """

    def __init__(self, content: Any) -> None:
        self._content = content
        self.parameters = list(_pairs(content, ()))

    def filled(self, at: Sequence[float]) -> Any:
        """The content with each figure so many factors away from its start."""
        pairs = zip(self.parameters, at, strict=True)
        values = {each.place: each.value(distance) for each, distance in pairs}

        def fill(part: Any, place: Place) -> Any:
            if place in values:
                return values[place]
            if isinstance(part, dict):
                return {key: fill(value, (*place, key)) for key, value in part.items()}
            if isinstance(part, list):
                return [fill(value, (*place, number)) for number, value in enumerate(part)]
            return part

        return fill(self._content, ())

    def text(self, at: Sequence[float]) -> str:
        """The filled content as YAML, a line each figure; those that no row has moved are marked."""
        pairs = zip(self.parameters, at, strict=True)
        unmoved = {each.place for each, distance in pairs if abs(distance) < _UNMOVED}
        return "\n".join(_lines(self.filled(at), (), "", unmoved)) + "\n"


def _pairs(tree: Any, place: Place) -> Iterator[Parameter]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _pairs(value, (*place, key))
    elif isinstance(tree, list) and all(isinstance(each, int | float) for each in tree):
        start, factor = tree
        yield Parameter(place, float(start), float(factor))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from _pairs(value, (*place, number))


def _lines(part: dict[str, Any], place: Place, indent: str, unmoved: set[Place]) -> Iterator[str]:
    for key, value in part.items():
        here = (*place, key)
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, here, indent + "  ", unmoved)
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            for number, each in enumerate(value):
                first, *others = _lines(each, (*here, number), indent + "    ", unmoved)
                yield f"{indent}  - {first.strip()}"
                yield from others
        else:
            yield f"{indent}{key}: {_plain(value)}{' # assumed' if here in unmoved else ''}"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value if value.isalpha() else f'"{value}"'
    if value >= 10**-2:
        return f"{value:.{_DIGITS}g}"
    mantissa, exponent = f"{value:.{_DIGITS - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
