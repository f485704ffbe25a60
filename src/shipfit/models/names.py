"""How checkpoints name what lies in them: the path to the layers differs between architectures, the rest hardly."""

from __future__ import annotations

import re
from collections.abc import Iterable

USUAL_PATH = "model.layers."
"""What comes before a layer's number in most checkpoints."""

_OUTER = r"(?:(?:model|language_model|text_model|backbone|transformer|decoder|gpt_neox|encoder|thinker)\.)*"
LAYER = re.compile(rf"(?P<path>{_OUTER}(?:layers|h|blocks)\.)(?P<layer>\d+|\*)(?:\.(?P<rest>.+)|\*?)?$")
"""A name inside of a decoder layer; towers for images and sound and predicted tokens (``mtp``) have other paths."""
_OUTERMOST = re.compile(_OUTER)


def layers_path(names: Iterable[str]) -> str:
    """What comes before a layer's number in a checkpoint that has such names in it, or expressions for them."""
    plain = (name.removeprefix("re:").replace("\\", "") for name in names)
    found = (match["path"] for name in plain if (match := LAYER.match(name)))
    return next(found, USUAL_PATH)


def inner_name(name: str) -> str:
    """A name outside of the layers, without what only says that it is the language model's: as ``norm``."""
    return _OUTERMOST.sub("", name, count=1)
