"""What a worker says is the user's to mend, as the line of the pipeline's file that is wrong."""

from __future__ import annotations

from shipfit.core.errors import InputError, ShipfitError
from shipfit.core.worker import WorkerError
from shipfit.spec import Pipeline, Recipe, locate


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
    at: tuple[str | int, ...]
    if part == "recipe" and pipeline.recipes:
        at = ("recipes", pipeline.recipes.index(recipe), *rest)
    elif part in Pipeline.model_fields:
        at = (part, *rest)
    else:
        at = ("calibration" if calibrating else "gate", part, *rest)
    return InputError(
        error.detail, hint=error.hint, where=locate(pipeline, *at), field=".".join(map(str, at))
    )
