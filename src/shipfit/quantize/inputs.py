"""What determines an artifact: the pipeline's settings, with every name resolved to the content it has now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shipfit.artifacts import fingerprint
from shipfit.core.progress import Progress
from shipfit.models import Snapshot, snapshot
from shipfit.quantize.datasets import Dataset, Part, read_dataset
from shipfit.quantize.engines import Engine, engine_of
from shipfit.spec import Pipeline, blame


@dataclass(frozen=True)
class Inputs:
    """All that determines the artifact, resolved to what it is at the moment."""

    source: Snapshot
    engine: Engine
    calibration: Dataset
    held_out: Dataset
    fingerprint: str


def resolve(pipeline: Pipeline, progress: Progress) -> Inputs:
    """Find out what the artifact would be made of, and its fingerprint.

    Raises:
        InputError: the source, a dataset or a setting is wrong.
        EnvironmentFailure: the source or a text cannot be fetched.
    """
    engine = engine_of(pipeline)
    calibration = read_dataset(pipeline, "calibration", progress)
    held_out = read_dataset(pipeline, "gate", progress)
    with blame(pipeline, "source"):
        source = snapshot(pipeline.source, pipeline.path.parent if pipeline.path else None, progress)
    return Inputs(
        source=source,
        engine=engine,
        calibration=calibration,
        held_out=held_out,
        fingerprint=fingerprint(fingerprint_inputs(pipeline, source, engine, calibration, held_out)),
    )


def fingerprint_inputs(
    pipeline: Pipeline, source: Snapshot, engine: Engine, calibration: Dataset, held_out: Dataset
) -> dict[str, Any]:
    """What goes into the fingerprint: what makes the files, and what measures them.

    Not the gate's limits: they are held to the recorded figures at every run.
    """
    return {
        "source": source.revision,
        "recipe": pipeline.recipe.model_dump(mode="json"),
        "engine": {
            "name": engine.name,
            "lock_sha256": engine.lock_sha256,
            "scripts_sha256": engine.scripts_sha256,
        },
        "calibration": {"dataset": calibration.digest, **sampling(pipeline, "calibration")},
        "gate": {"dataset": held_out.digest, **sampling(pipeline, "gate")},
    }


def sampling(pipeline: Pipeline, part: Part) -> dict[str, int]:
    """How the windows of one part are chosen, as its worker takes it."""
    section = pipeline.calibration if part == "calibration" else pipeline.gate
    return {"samples": section.samples, "tokens": section.tokens, "seed": section.seed}
