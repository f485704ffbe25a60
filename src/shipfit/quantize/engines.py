"""The quantization engines: each a folder under ``pipelines/engines``, found there and nowhere named in code.

engine.yaml       what it makes, where, with which settings (``Declaration`` below)
worker.py         does it, in the engine's own environment
requirements.in   and its locks; not where it works in another's environment
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import Field, JsonValue, PositiveInt

from shipfit import __version__
from shipfit.core.data import read_yaml
from shipfit.core.digest import digest_of
from shipfit.core.errors import InputError
from shipfit.core.worker import LAUNCHER
from shipfit.environments import Accelerator, declaration, embedded, local_accelerator, pinned_version
from shipfit.spec import Pipeline, Recipe, blame
from shipfit.spec.base import Section
from shipfit.spec.precision import Precision

INSIDE = Path(__file__).with_name("inside")
"""Modules that workers import."""


class Setting(Section):
    """A setting of a recipe that an engine obeys."""

    default: JsonValue
    """What it is where the recipe leaves it out."""
    choices: list[JsonValue] | None = None
    """What it may be; left out, anything that the spec allows."""


class Costs(Section):
    """What making an artifact costs, as far as it differs between engines.

    preflight/memory.py has the formulas of memory, preflight/calibration.py that of time.
    """

    model: float = 1.0
    """Copies of the source's weights in the host's memory."""
    artifact: float = 1.0
    """Copies of what it writes in the host's memory as it saves, beside those of the source."""
    hessian_bytes: float = 0.0
    """Bytes for each square of a quantized matrix's inputs; 0 without second-order statistics."""
    hidden: float = 1.0
    """Copies of every sample's hidden states that the host keeps."""
    widest: float = 0.0
    """Copies of every sample's inputs of the widest matrix that the host keeps."""
    gpu_hidden: float = 0.0
    """Copies of every sample's hidden states that the GPU keeps, where there is one."""
    gpu_widest: float = 0.0
    """Copies of every sample's inputs of the widest matrix that the GPU keeps."""
    offload_hidden: float = 0.0
    """Of those copies of hidden states, how many the engine can keep on the host instead."""
    offload_widest: float = 0.0
    """Of those copies of inputs of the widest matrix, how many the engine can keep on the host instead."""
    gpu_saving: float = 0.0
    """Copies of the embedding that the GPU holds at once as the engine saves."""
    products: float = 0.0
    """16-bit numbers that a search for clipped weights holds at once, for each input of the widest matrix."""
    passes: float = 2.0
    """Times that every token goes through every layer."""
    searches: float = 0.0
    """Further passes through every layer that a search for scales makes."""
    overhead_gib: float = 1.0
    """The engine itself, with its libraries, in GiB of the host's memory."""
    start_s: float = 12.0
    """Seconds before the first layer and after the last, beside writing the weights."""
    efficiency: float = 0.3
    """Share of the device's throughput that a pass reaches."""
    column_ms: float = 0.0
    """Milliseconds that GPTQ takes on a GPU for each column of a matrix, one after another."""


class Made(Section):
    """A precision as an engine makes it."""

    calibrates: bool | dict[str, JsonValue] = True
    """Whether it needs calibration text; or settings, any one of which asks for it."""
    one_scale: dict[str, JsonValue] = Field(default={})
    """Settings, any one of which gives a whole matrix of weights one scale."""
    settings: dict[str, Setting] = Field(default={})
    """Settings of a recipe that it obeys; any other is refused."""
    costs: Costs = Costs()
    """What making it needs, for the preflight."""


class Deprecated(Section):
    """An engine that its authors no longer keep."""

    successor: str
    """The engine that makes the same."""
    why: str
    """Who says so, where."""


class Declaration(Section):
    """``engine.yaml``."""

    package: str | None = None
    """Its package in versions.txt; left out, its version is shipfit's own."""
    environment: str | None = None
    """The environment that its worker runs in; left out, its own."""
    measured_in: str | None = None
    """The environment that reads what it writes, for the gate; left out, where the worker runs."""
    writes: Literal["safetensors", "gguf"] = "safetensors"
    """What its weights are written as."""
    method: str = "compressed-tensors"
    """`quant_method` of its checkpoints: what vLLM chooses a kernel by."""
    reorders: bool = False
    """Whether its act order deals the inputs out to groups anew, so that a kernel must look each one's group up."""
    quantizes_on: tuple[Accelerator, ...] = (Accelerator.CPU, Accelerator.CUDA)
    """Where it can quantize, for machines with a GPU too; what it made before is read and served anywhere."""
    batch: PositiveInt = 1
    """Samples in one pass of its calibration; halved when memory does not suffice."""
    model_types: list[str] | None = None
    """`model_type` of the sources that it knows; left out, every one that transformers knows."""
    deprecated: Deprecated | None = None
    """Set where its authors no longer keep it."""
    precisions: dict[Precision, Made]
    """What it makes."""


@dataclass(frozen=True)
class Engine:
    """An engine as it runs on this machine, for one recipe.

    Attributes:
        name: its folder's.
        declared: what it says of itself.
        recipe: with every setting that it obeys, those left out at their defaults.
        accelerator: the build that fits it and this machine.
    """

    name: str
    declared: Declaration
    recipe: dict[str, Any]
    accelerator: Accelerator

    @property
    def version(self) -> str:
        """Of its package."""
        return pinned_version(self.declared.package) if self.declared.package else __version__

    @property
    def environment(self) -> str:
        """The environment that its worker runs in."""
        return self.declared.environment or self.name

    @property
    def measured_in(self) -> str:
        """The environment that reads what it writes."""
        return self.declared.measured_in or self.environment

    @property
    def worker(self) -> Path:
        """Its script."""
        return embedded("pipelines", "engines", self.name, "worker.py")

    @property
    def made(self) -> Made:
        """What it declares of the recipe's precision."""
        return self.declared.precisions[Precision(self.recipe["precision"])]

    @property
    def calibrates(self) -> bool:
        """Whether the recipe needs calibration text."""
        needs = self.made.calibrates
        return self._has_any(needs) if isinstance(needs, dict) else needs

    @property
    def one_scale(self) -> bool:
        """Whether the recipe gives a whole matrix of weights one scale."""
        return self._has_any(self.made.one_scale)

    @property
    def lock_sha256(self) -> str:
        """Digest of the locks that its environment is made from."""
        return digest_of(declaration(self.environment).made_from(self.accelerator))

    @property
    def scripts_sha256(self) -> str:
        """Digest of the scripts that make an artifact."""
        own, inside = (sorted(folder.glob("*.py")) for folder in (self.worker.parent, INSIDE))
        return digest_of([*own, LAUNCHER, *inside])

    @property
    def offloads(self) -> bool:
        """Whether it can keep on the host what it otherwise keeps of every sample on the GPU."""
        return bool(self.made.costs.offload_hidden or self.made.costs.offload_widest)

    def _has_any(self, settings: dict[str, JsonValue]) -> bool:
        return any(self.recipe[setting] == value for setting, value in settings.items())


@cache
def engines() -> dict[str, Declaration]:
    """Every engine by name."""
    folder = embedded("pipelines", "engines")
    return {
        path.parent.name: Declaration.model_validate(read_yaml(path))
        for path in sorted(folder.glob("*/engine.yaml"))
    }


def engine_of(pipeline: Pipeline, recipe: Recipe) -> Engine:
    """The engine of one of a pipeline's recipes.

    Raises:
        InputError: no engine makes that precision, or not with these settings, or not on this kind of machine.
    """
    at = pipeline.at(recipe)
    name = _name(pipeline, recipe, at)
    declared = engines()[name]
    made = declared.precisions.get(recipe.precision)
    if made is None:
        makers = who_makes(recipe.precision)
        _refuse(
            pipeline,
            (*at, "precision"),
            f"{name} does not make {recipe.precision}",
            f"these make it: {', '.join(makers)}"
            if makers
            else f"it makes: {', '.join(declared.precisions)}",
        )
    return Engine(
        name, declared, _settled(pipeline, recipe, at, name, made), _accelerator(pipeline, at, name)
    )


def who_makes(precision: Precision, model_type: str | None = None) -> list[str]:
    """The engines that make a precision, of any model or of one type; those that are no longer kept come last."""
    found = [
        (declared.deprecated is not None, name)
        for name, declared in engines().items()
        if precision in declared.precisions
        and (model_type is None or declared.model_types is None or model_type in declared.model_types)
    ]
    return [name for _, name in sorted(found)]


def _name(pipeline: Pipeline, recipe: Recipe, at: tuple[str | int, ...]) -> str:
    known = engines()
    if recipe.engine is None:
        usual = [name for name in known if recipe.precision in known[name].precisions]
        kept = [name for name in usual if not known[name].deprecated]
        if not kept:
            _refuse(pipeline, (*at, "precision"), f"no engine makes {recipe.precision}", None)
        # Of several the one that makes most: it is the one that teams know.
        return max(kept, key=lambda name: len(known[name].precisions))
    if recipe.engine not in known:
        _refuse(
            pipeline,
            (*at, "engine"),
            f"no engine is called {recipe.engine}",
            f"there are: {', '.join(known)}",
        )
    return recipe.engine


def _settled(
    pipeline: Pipeline, recipe: Recipe, at: tuple[str | int, ...], name: str, made: Made
) -> dict[str, Any]:
    """The recipe with every setting decided."""
    asked = recipe.model_dump(mode="json", exclude={"precision", "engine"}, exclude_none=True)
    settled: dict[str, Any] = {"precision": recipe.precision.value, "engine": name}
    for key, value in asked.items():
        setting = made.settings.get(key)
        if setting is None:
            _refuse(
                pipeline,
                (*at, key),
                f"{name} knows no {key} for {recipe.precision}",
                f"take it out; it obeys: {', '.join(made.settings) or 'none'}",
            )
        if setting.choices is not None and value not in setting.choices:
            _refuse(
                pipeline,
                (*at, key),
                f"{name} does not make {recipe.precision} with {key} {value}",
                f"choose one of: {', '.join(map(str, setting.choices))}",
            )
    return settled | {key: asked.get(key, setting.default) for key, setting in made.settings.items()}


def _accelerator(pipeline: Pipeline, at: tuple[str | int, ...], name: str) -> Accelerator:
    declared, here = engines()[name], local_accelerator()
    fitting = next((each for each in (here, Accelerator.CPU) if each in declared.quantizes_on), None)
    if fitting is None:
        successor = declared.deprecated.successor if declared.deprecated else None
        _refuse(
            pipeline,
            (*at, "engine"),
            f"{name} quantizes on {' and '.join(declared.quantizes_on)} alone, and this machine has no such device",
            f"use {successor}, which makes the same" if successor else "run it where there is one",
        )
    return fitting


def _refuse(pipeline: Pipeline, at: tuple[str | int, ...], message: str, hint: str | None) -> NoReturn:
    with blame(pipeline, *at):
        raise InputError(message, hint=hint)
