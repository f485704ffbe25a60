"""A plan as one page that needs nothing else: no scripts, no fonts, no addresses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from shipfit.core.errors import InputError
from shipfit.core.paths import write_atomically
from shipfit.sizing import Plan
from shipfit.sizing.planning.plan import Term

_PARTS = {
    "weights": "Weights",
    "activation": "Activations",
    "cuda_graph": "CUDA graphs",
    "non_torch": "Outside of PyTorch",
    "kv_cache": "KV cache",
}
_WIDTH = 1000  # of the picture
_LETTER, _MARGIN = 8.6, 24  # what a label needs inside of a segment


def write_page(path: Path, plan: Plan) -> None:
    """Write the page.

    Args:
        path: the file; its folder must exist.
        plan: what it shows.

    Raises:
        EnvironmentFailure: the disk is full or the folder not writable.
        InputError: the folder does not exist, or the path is one.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", hint="name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}", hint="make it, or name another")
    write_atomically(path, render(plan))


def render(plan: Plan) -> str:
    """The page as text."""
    jinja = Environment(
        loader=PackageLoader("shipfit.cli", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return jinja.get_template("plan.html.jinja").render(
        plan=plan, parts=_PARTS, segments=_segments(plan), terms=_rows(plan.terms)
    )


def _rows(terms: Sequence[Term]) -> list[tuple[Term, int]]:
    """Each term, and how many rows its source stands for: 0 where it stands in a row above."""
    found: list[tuple[Term, int]] = []
    for _, group in groupby(terms, key=lambda term: term.source):
        first, *more = group
        found += [(first, 1 + len(more)), *((term, 0) for term in more)]
    return found


def _segments(plan: Plan) -> list[dict[str, object]]:
    """The parts of the bar from left to right, in pixels."""
    memory = plan.memory
    sizes = {part: getattr(memory, f"{part}_gib") for part in _PARTS}
    whole = memory.usable_gib or sum(sizes.values())
    sizes["free"] = max(whole - sum(sizes.values()), 0.0)
    found: list[dict[str, object]] = []
    so_far = 0.0
    for part, gib in sizes.items():
        label, width = _PARTS.get(part, "Not taken"), gib / whole * _WIDTH
        found.append(
            {
                "part": part,
                "label": label,
                "gib": gib,
                "share": gib / whole,
                "x": so_far,
                "width": width,
                "named": width >= len(label) * _LETTER + _MARGIN,
            }
        )
        so_far += width
    return found
