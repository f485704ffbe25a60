"""Whether a recipe's artifact will be served where the pipeline says, by the same plan that a deployment gets."""

from __future__ import annotations

from shipfit.core.errors import VerdictError
from shipfit.hardware import gpu
from shipfit.models import ModelFacts
from shipfit.sizing import Pool, make_plan
from shipfit.spec import Deployment, Pipeline, Recipe, Serving, blame
from shipfit.spec.base import API_VERSION


def serving_objection(pipeline: Pipeline, serving: Serving, recipe: Recipe, facts: ModelFacts) -> str | None:
    """The reason why a recipe's artifact cannot be served as ``serving`` asks; None if it can.

    Raises:
        InputError: the GPU is not known.
    """
    with blame(pipeline, "serving", "hardware", "gpu"):
        kind = gpu(serving.hardware.gpu)
    wanted = Deployment(
        apiVersion=API_VERSION,
        kind="Deployment",
        name=pipeline.name,
        model=pipeline.source,
        precision=recipe.precision,
        hardware=[serving.hardware],
        promise=serving.promise,
        replicas=1,
    )
    try:
        make_plan(wanted, facts, [Pool(kind, (serving.hardware.count,))])
    except VerdictError as error:
        return error.message
    return None
