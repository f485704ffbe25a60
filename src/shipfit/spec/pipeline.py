"""The Pipeline spec: what is quantized how, on what data, how good it must be, and where it goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from shipfit.spec.base import Document, Name, Positive, Section
from shipfit.spec.deployment import Hardware, Promise
from shipfit.spec.precision import Precision
from shipfit.spec.signing import Signing

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole."""


class Recipe(Section):
    """Precision, engine and the engine's settings. A setting left out is the engine's default for that precision."""

    precision: Precision
    """What the weights become."""
    engine: Name | None = None
    """Which engine does it: a folder of `pipelines/engines`. Left out, the first that makes the precision."""
    group_size: Literal[-1, 32, 64, 128] | None = None
    """Weights that share a scale; -1 for one scale a channel."""
    symmetric: bool | None = None
    """Whether the zero point is fixed at zero."""
    act_order: bool | None = None
    """GPTQ: whether the columns with the largest activations are quantized first."""
    rounding: Literal["nearest", "gptq"] | None = None
    """8 bits: how weights are rounded, each to the nearest or by GPTQ with the others making up for it."""
    smoothing: Share | None = None
    """INT8 activations: strength of SmoothQuant; 0 for none."""
    activation_scales: Literal["dynamic", "static"] | None = None
    """Scales of activations: computed for each token, or fixed by the calibration."""
    importance_matrix: bool | None = None
    """GGUF: whether weights are weighted by the activations that the calibration text causes."""
    ignore: list[str] | None = None
    """Layers that stay as they are: names, or regular expressions that begin with `re:`."""


class TextSource(Section):
    """A source of text with more to say than its name."""

    source: str
    """As a plain entry of `dataset`."""
    subset: str | None = None
    """Hugging Face: the dataset's configuration; left out, its default."""
    split: str = "train"
    """Hugging Face: the split."""
    weight: Positive = 1.0
    """Its share of the samples, beside the weights of the other sources."""


Dataset = Annotated[list[str | TextSource], Field(min_length=1)]
"""Sources of text: a file seen from this one's folder (`.txt`, `.jsonl`, `.parquet`, `.arrow`) or a folder of such, an
object store URL of one, `hf:OWNER/NAME` (`@revision` may follow), or `bundled:NAME`. Rows hold `text`, or `prompt` and
`completion`, or `messages`, which go through the model's own chat template."""


class Calibration(Section):
    """The text that the engine calibrates on."""

    dataset: Dataset
    """Sources of text: files (`.txt`, `.jsonl`, `.parquet`, `.arrow`) seen from this one's folder, URLs of an object
    store, `hf:OWNER/NAME` or `bundled:NAME`."""
    samples: PositiveInt = 256
    """How many samples."""
    tokens: PositiveInt = 2048
    """Tokens of a sample, the beginning-of-sequence token included."""
    seed: int = 0
    """Seed of the choice of samples."""


class Tasks(Section):
    """Benchmarks of lm-evaluation-harness that the artifact runs beside its source."""

    names: Annotated[list[str], Field(min_length=1)]
    """Tasks of the harness, or paths of task files seen from this one's folder."""
    limit: PositiveInt | None = None
    """Questions of each task; left out, all."""
    min_recovery: Share = 0.98
    """Smallest share of the source's score that the artifact must keep, on average over the tasks."""


class Generation(Section):
    """What the artifact answers in the engine that will serve it, beside its source in the same engine."""

    prompts: Annotated[list[str], Field(min_length=1)] = Field(
        default=[
            "Water boils at",
            "The three primary colours are",
            "Once upon a time there was",
            "To install a package in Python,",
        ]
    )
    """What is asked."""
    tokens: PositiveInt = 32
    """Tokens of an answer; decoding is greedy."""
    max_faulty: NonNegativeInt = 0
    """Most answers that may be empty, repeat themselves, change language or be garbage where the source's is not."""
    min_greedy_agreement: Share | None = None
    """Smallest share of an answer's tokens, on average, before its first difference from the source's; left out, any:
    sound 4-bit artifacts part early from their source, and say the same in other words."""


class Gate(Section):
    """What an artifact must pass before it is published. Losses are measured against the source model.

    A limit left out is the usual one of the recipe's precision.
    """

    dataset: Dataset
    """Held-out text, as in `calibration.dataset`; never text that is calibrated on."""
    samples: PositiveInt = 32
    """How many windows of text."""
    tokens: PositiveInt = 512
    """Tokens of a window."""
    seed: int = 0
    """Seed of the choice of windows."""
    max_mean_kl: NonNegativeFloat | None = None
    """Largest mean Kullback-Leibler divergence of the next-token distribution, in nats a token."""
    max_p99_kl: NonNegativeFloat | None = None
    """Largest 99th percentile of the same, in nats."""
    min_top1_agreement: Share | None = None
    """Smallest share of positions at which both models' most likely token is the same."""
    max_perplexity_ratio: Annotated[float, Field(ge=1)] | None = None
    """Largest perplexity of the artifact divided by that of the source."""
    max_faults: NonNegativeInt = 0
    """Most layers in which the engine failed without saying so: rounded without calibration, left out, not finite."""
    max_regression: NonNegativeFloat | None = 0.25
    """Largest share by which the mean divergence may exceed that of the artifact that is in the channel now, measured
    on the same text; `null` to allow any."""
    tasks: Tasks | None = None
    """Benchmarks; left out, none."""
    generation: Generation | None = Generation()
    """Answers in the serving engine; `null` to ask for none."""


class Serving(Section):
    """Where the artifact is to be served: a recipe that cannot be is refused before any work."""

    hardware: Hardware
    """The GPU, and how many of them a replica may take."""
    promise: Promise
    """What a replica must hold."""


class Pipeline(Document):
    """What is quantized how: one file under `pipelines/`."""

    kind: Literal["Pipeline"]
    """Says that this file is a Pipeline."""
    source: str
    """The source model, as `model` in a Deployment."""
    recipe: Recipe | None = None
    """What it becomes."""
    recipes: Annotated[list[Recipe], Field(min_length=2)] | None = None
    """In place of `recipe`: several to try, of which `choose` takes one."""
    choose: Literal["least-loss-that-fits"] | None = None
    """How one of `recipes` is chosen: of those that pass the gate and fit `serving`, the one that loses least."""
    calibration: Calibration | None = None
    """What the engine calibrates on; left out only where no recipe needs any text."""
    gate: Gate
    """What the result must pass."""
    serving: Serving | None = None
    """Where it is to be served."""
    store: str | None = None
    """Object store URL to publish to, such as `s3://models/prod`; left out, the embedded one."""
    channel: Name = "stable"
    """The channel that a published artifact is put into."""
    signing: Signing | None = None
    """How it is signed between the two; left out, it is not."""

    @model_validator(mode="after")
    def _one_recipe_or_a_choice(self) -> Pipeline:
        if (self.recipe is None) == (self.recipes is None):
            raise ValueError("name either recipe, or recipes and choose")
        if (self.recipes is None) != (self.choose is None):
            raise ValueError("recipes and choose belong together: choose: least-loss-that-fits")
        if self.recipes and self.serving is None:
            raise ValueError("choose: least-loss-that-fits needs serving: the GPU that it is to fit")
        return self

    @property
    def all_recipes(self) -> list[Recipe]:
        """The recipe, or every one to choose from."""
        return self.recipes or ([self.recipe] if self.recipe else [])

    def at(self, recipe: Recipe) -> tuple[str | int, ...]:
        """Where one of its recipes stands in the file, as ``locate`` and ``blame`` take it."""
        return ("recipes", self.recipes.index(recipe)) if self.recipes else ("recipe",)
