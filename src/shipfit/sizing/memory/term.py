"""A part of a GPU's memory, with the formula and the figures that it came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

WIDE = 2
"""Bytes of a number that is not quantized: bf16 or fp16, which float32 checkpoints are served in too."""

Part = Literal["weights", "activation", "cuda_graph", "non_torch", "kv_cache"]
"""What vLLM tells apart when it says where a GPU's memory went."""


@dataclass(frozen=True)
class Term:
    """One term of the sum.

    Attributes:
        part: what it belongs to.
        name: what it is.
        gib: how much, in GiB.
        formula: how that came about, with the figures put in.
        source: where the formula or the figure stands.
    """

    part: Part
    name: str
    gib: float
    formula: str
    source: str


def total_gib(terms: Iterable[Term], part: Part | None = None) -> float:
    """GiB of terms together; of one part, or of all."""
    return sum(term.gib for term in terms if part in (None, term.part))
