"""What determines an artifact: the pipeline's settings, with every name resolved to the content it has now."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shipfit import models
from shipfit.artifacts import fingerprint
from shipfit.core.digest import digest_of
from shipfit.core.errors import InputError
from shipfit.core.progress import Progress
from shipfit.models import ModelFacts, load_facts
from shipfit.quantize.datasets import Dataset, read_datasets
from shipfit.quantize.engines import Engine, engine_of
from shipfit.quantize.gate.measurements import WORKERS
from shipfit.quantize.gate.task_files import files_of
from shipfit.quantize.preflight import require_possible
from shipfit.spec import Pipeline, Recipe, blame

LIMITS = {"tasks": {"min_recovery"}, "generation": {"max_faulty", "min_greedy_agreement"}}
"""Settings of the gate that decide about figures and change none."""

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
"""What tokenizers keep their vocabulary in (VOCAB_FILES_NAMES of transformers' models/*/tokenization_*.py)."""


@dataclass(frozen=True)
class Candidate:
    """A recipe on its way to an artifact.

    Attributes:
        recipe: as the pipeline has it.
        engine: with every setting of the recipe settled.
        fingerprint: of the artifact that it makes.
    """

    recipe: Recipe
    engine: Engine
    fingerprint: str

    @property
    def label(self) -> str:
        """As people tell it from others: the settings that are not the engine's usual ones after its precision."""
        settings = [
            f"{key} {self.engine.recipe[key]}"
            for key, setting in self.engine.made.settings.items()
            if self.engine.recipe[key] != setting.default
        ]
        return " ".join([self.recipe.precision.value, *settings]) + f" by {self.engine.name}"


@dataclass(frozen=True)
class Inputs:
    """All that determines the artifacts of a pipeline, resolved to what it is at the moment.

    Attributes:
        pipeline: the spec.
        facts: of the source model.
        revision: names its exact content.
        calibration: the text that engines calibrate on.
        held_out: the text that the gate measures on.
        candidates: one for each recipe.
    """

    pipeline: Pipeline
    facts: ModelFacts
    revision: str
    calibration: Dataset
    held_out: Dataset
    candidates: tuple[Candidate, ...]

    @cached_property
    def gate_digest(self) -> str:
        """Digest of what the gate measures and with what: with another one, an artifact is measured again.

        Not the limits: they are held to the recorded figures at every run.
        """
        return fingerprint(
            {
                "dataset": self.held_out.digest,
                **sampling(self.pipeline.gate),
                **self.pipeline.gate.model_dump(mode="json", include={"tasks", "generation"}, exclude=LIMITS),
                "task_files": digest_of(self._task_files()),
                "scripts": digest_of(sorted([*WORKERS.glob("*.py"), *WORKERS.glob("*.json")])),
            }
        )

    def _task_files(self) -> list[Path]:
        tasks = self.pipeline.gate.tasks
        paths = [self.pipeline.resolve(name) for name in tasks.names] if tasks else []
        return [each for path in paths if path.is_file() for each in files_of(path)]

    def source(self, progress: Progress) -> Path:
        """The source model as a folder, fetched or made if it is not here.

        Raises:
            InputError: it has no tokenizer, without which nothing can be calibrated on, measured or served.
            EnvironmentFailure: it cannot be fetched, or the disk is full.
        """
        with blame(self.pipeline, "source"):
            folder = models.folder(self.pipeline.source, self.pipeline.folder, self.revision, progress)
            if not any((folder / name).exists() for name in _TOKENIZERS):
                raise InputError(
                    f"{self.pipeline.source} has no tokenizer ({', '.join(_TOKENIZERS[:3])} or the like)",
                    hint="put its files beside the weights",
                )
        return folder


def resolve(pipeline: Pipeline, progress: Progress) -> Inputs:
    """Find out what the artifacts would be made of, and their fingerprints; the model itself is not fetched.

    A folder of this machine is read whole for its revision, and a dataset may be fetched: the preflight comes first.

    Raises:
        InputError: the source, a dataset or a setting is wrong, or they cannot go together.
        EnvironmentFailure: the source or a text cannot be reached.
    """
    engines = [engine_of(pipeline, recipe) for recipe in pipeline.all_recipes]
    if pipeline.calibration is None and (needy := next((each for each in engines if each.calibrates), None)):
        with blame(pipeline, "calibration"):
            raise InputError(
                f"is missing, and {needy.name} calibrates for {needy.recipe['precision']}",
                hint="name dataset, samples and tokens",
            )
    with blame(pipeline, "source"):
        facts = load_facts(pipeline.source, pipeline.folder)
    for recipe, engine in zip(pipeline.all_recipes, engines, strict=True):
        require_possible(pipeline, recipe, engine, facts)
    calibration, held_out = read_datasets(pipeline, progress)
    with blame(pipeline, "source"):
        revision = models.revision(pipeline.source, pipeline.folder, progress)
    return Inputs(
        pipeline=pipeline,
        facts=facts,
        revision=revision,
        calibration=calibration,
        held_out=held_out,
        candidates=tuple(
            Candidate(recipe, engine, fingerprint(determining(pipeline, revision, engine, calibration)))
            for recipe, engine in zip(pipeline.all_recipes, engines, strict=True)
        ),
    )


def sampling(section: Any) -> dict[str, int]:
    """How the windows of ``calibration`` or ``gate`` are chosen, as workers take it."""
    return {"samples": section.samples, "tokens": section.tokens, "seed": section.seed}


def determining(pipeline: Pipeline, revision: str, engine: Engine, calibration: Dataset) -> dict[str, Any]:
    """What goes into the fingerprint: all that determines the artifact's bytes, and nothing else."""
    determining: dict[str, Any] = {
        "source": revision,
        "recipe": engine.recipe,
        "engine": {
            "name": engine.name,
            "lock_sha256": engine.lock_sha256,
            "scripts_sha256": engine.scripts_sha256,
        },
    }
    if engine.calibrates:
        determining["calibration"] = {"dataset": calibration.digest, **sampling(pipeline.calibration)}
    return determining
