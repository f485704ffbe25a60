"""Images in the step that vLLM measures memory by: as many of the largest as it takes in at once.

Their pixels and what the encoder made of them stay until the step's end, under everything that reading and sampling
take; what the encoder itself takes is free again before (vllm/v1/worker/gpu_model_runner.py, profile_run).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shipfit.core.data import read_yaml
from shipfit.core.units import GIB
from shipfit.models import ModelFacts
from shipfit.sizing.memory.term import WIDE, Term
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

_FILE = Path(__file__).with_name("images.yaml")
_SOURCE = "vllm/v1/worker/gpu_model_runner.py, profile_run"
_MERGED = (4, 9, 16)
"""Patches that one matrix makes a token of: squares of them."""


@dataclass(frozen=True)
class _Tower:
    """An encoder of images.

    Attributes:
        pixels: numbers of one patch.
        patches: patches that become one token.
        numbers: numbers that are alive at most, of one patch, on each GPU.
    """

    pixels: int
    patches: int
    numbers: float


def kept(facts: ModelFacts, start: Start) -> list[Term]:
    """Pixels, and what the encoder made of them; nothing where the model only reads text.

    Args:
        facts: the model.
        start: how the replica runs.
    """
    if not facts.multimodal:
        return []
    tokens, tower = _tokens(facts, start), _tower(facts, 1)
    encoded = Term(
        "activation",
        "encoded images",
        tokens * facts.hidden * WIDE / GIB,
        f"{tokens:,} tokens x {facts.hidden:,} wide x {WIDE} bytes",
        _SOURCE,
    )
    if tower is None:
        return [encoded]
    pixels = Term(
        "activation",
        "pixels",
        tokens * tower.patches * tower.pixels * WIDE / GIB,
        f"{tokens:,} tokens x {tower.patches} patches x {tower.pixels:,} numbers x {WIDE} bytes",
        _SOURCE,
    )
    return [encoded, pixels]


def encoding(facts: ModelFacts, settings: Settings, start: Start) -> list[Term]:
    """What the encoder holds at most while it works.

    Args:
        facts: the model.
        settings: how it is split.
        start: how the replica runs.
    """
    tower = _tower(facts, settings.tensor)
    if tower is None:
        return []
    tokens = _tokens(facts, start)
    return [
        Term(
            "activation",
            "the encoder's results",
            tokens * tower.patches * tower.numbers * WIDE / GIB,
            f"{tokens:,} tokens x {tower.patches} patches x {tower.numbers:,.0f} numbers x {WIDE} bytes",
            _SOURCE,
        )
    ]


def _tokens(facts: ModelFacts, start: Start) -> int:
    """Tokens of the images in the step: as many as it reads, and at least one image."""
    return max(start.tokens, _said(facts, "largest_image_tokens"))


def _tower(facts: ModelFacts, tensor: int) -> _Tower | None:
    """What the weights say of the encoder; None where there is none."""
    weights = {weight.name: weight for weight in facts.weights if weight.name.startswith("vision.")}
    patch, inner = weights.get("vision.patches"), weights.get("vision.feed_forward.up")
    if patch is None or inner is None:
        return None
    width = patch.rows
    outside = [weight for name, weight in weights.items() if not name.startswith("vision.feed_forward")]
    merged = (weight.columns // width for weight in outside if weight.columns % width == 0)
    patches = next((each for each in merged if each in _MERGED), 0)
    if patches:
        copies = _data()["rotated_copies"]
        return _Tower(patch.columns, patches, width * (copies["whole"] + copies["split"] / tensor))
    # without a matrix that merges, positions are learned and not rotated: the feed-forward part is the widest
    return _Tower(patch.columns, _said(facts, "pooled_patches"), 3 * width + 2 * inner.rows / tensor)


def _said(facts: ModelFacts, what: str) -> int:
    """What images.yaml says of a model; 0 where it says nothing."""
    known = _data()[what]
    return next((number for name, number in known.items() if facts.architecture.startswith(name)), 0)


@cache
def _data() -> dict[str, dict[str, int]]:
    values: dict[str, dict[str, int]] = read_yaml(_FILE)
    return values
