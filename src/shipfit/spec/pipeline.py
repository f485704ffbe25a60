"""The Pipeline spec: what is quantized how, on what data, and how good it must be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from shipfit.spec.base import Document, Name, Section
from shipfit.spec.precision import Precision


class Recipe(Section):
    """Precision, engine and the engine's settings."""

    precision: Precision
    """What the weights become."""
    engine: Literal["llm-compressor"] = "llm-compressor"
    """Which engine does it."""
    group_size: Literal[-1, 32, 64, 128] = 128
    """Weights that share a scale; -1 for one scale a channel."""
    symmetric: bool = True
    """Whether the zero point is fixed at zero."""
    ignore: list[str] = Field(default=["lm_head"])
    """Layers that stay as they are: names, or regular expressions that begin with `re:`."""


class Calibration(Section):
    """The text that the engine calibrates on."""

    dataset: Annotated[list[str], Field(min_length=1)]
    """Sources of text: a file seen from this one's folder (`.txt`, or `.jsonl` with a `text` column), or
    `bundled:NAME`."""
    samples: PositiveInt = 256
    """How many samples."""
    tokens: PositiveInt = 2048
    """Tokens of a sample, the beginning-of-sequence token included."""
    seed: int = 0
    """Seed of the choice of samples."""


class Gate(Section):
    """What an artifact must pass before it is published. Losses are measured against the source model."""

    dataset: Annotated[list[str], Field(min_length=1)]
    """Held-out text, as in `calibration.dataset`; never a source that is calibrated on."""
    samples: PositiveInt = 32
    """How many windows of text."""
    tokens: PositiveInt = 512
    """Tokens of a window."""
    seed: int = 0
    """Seed of the choice of windows."""
    max_mean_kl: NonNegativeFloat = 0.10
    """Largest mean Kullback-Leibler divergence of the next-token distribution, in nats a token."""
    max_p99_kl: NonNegativeFloat = 1.0
    """Largest 99th percentile of the same, in nats."""
    min_top1_agreement: Annotated[float, Field(ge=0, le=1)] = 0.85
    """Smallest share of positions at which both models' most likely token is the same."""
    max_perplexity_ratio: Annotated[float, Field(ge=1)] = 1.10
    """Largest perplexity of the artifact divided by that of the source."""


class Pipeline(Document):
    """What is quantized how: one file under `pipelines/`."""

    kind: Literal["Pipeline"]
    """Says that this file is a Pipeline."""
    source: str
    """The source model, as `model` in a Deployment."""
    recipe: Recipe
    """What it becomes."""
    calibration: Calibration
    """What the engine calibrates on."""
    gate: Gate
    """What the result must pass."""
    store: str | None = None
    """Object store URL to publish to, such as `s3://models/prod`; left out, the embedded one."""
    channel: Name = "stable"
    """The channel that a published artifact is put into."""

    @model_validator(mode="after")
    def _held_out_is_held_out(self) -> Pipeline:
        shared = sorted(set(self.calibration.dataset) & set(self.gate.dataset))
        if shared:
            raise ValueError(
                f"gate.dataset and calibration.dataset share {', '.join(shared)}: quality measured on calibration text"
                " says nothing; gate on other documents"
            )
        return self
