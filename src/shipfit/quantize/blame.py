"""What a worker says is the user's to mend, as the line of the pipeline's file that is wrong."""

from __future__ import annotations

from shipfit.core.errors import InputError, ShipfitError
from shipfit.core.worker import WorkerError
from shipfit.spec import Pipeline, Recipe, blame


def blamed(error: WorkerError, pipeline: Pipeline, recipe: Recipe, *, calibrating: bool) -> ShipfitError:
    """The error as a user reads it.

    Args:
        error: of a worker; its ``field`` is a path in the spec, or one inside of ``calibration`` or ``gate``.
        pipeline: the spec.
        recipe: the one that was at work.
        calibrating: whether the worker was the engine's; else one of the gate's.
    """
    if error.field is None:
        return error
    part, *rest = error.field.split(".")
    section: tuple[str | int, ...] = ("calibration" if calibrating else "gate", part)
    if part in Pipeline.model_fields:
        section = pipeline.at(recipe) if part == "recipe" else (part,)
    try:
        with blame(pipeline, *section, *rest):
            raise InputError(error.detail, hint=error.hint)
    except InputError as named:
        return named
