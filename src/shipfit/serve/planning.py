"""From a Deployment to its Plan: reads the facts that planning needs, and leaves the deciding to sizing."""

from __future__ import annotations

from shipfit.core.errors import InputError
from shipfit.hardware import Gpu, gpu
from shipfit.models import load_facts
from shipfit.sizing import Plan, make_plan
from shipfit.spec import Deployment, Hardware


def plan_deployment(deployment: Deployment) -> Plan:
    """The plan of a deployment.

    Raises:
        InputError: the model or a GPU is not known, or the promise exceeds what the model can hold.
        EnvironmentFailure: the hub or the store that the model lies in is out of reach.
        VerdictError: nothing at hand holds the promise.
    """
    base = deployment.path.parent if deployment.path else None
    facts = load_facts(deployment.model, base)
    if deployment.promise.context > facts.max_position_embeddings:
        raise InputError(
            f"is {deployment.promise.context:,}, and {deployment.model} holds {facts.max_position_embeddings:,} tokens",
            hint="lower it",
            where=str(deployment.path) if deployment.path else None,
            field="promise.context",
        )
    hardware = [
        (_gpu(deployment, number, each), each.count) for number, each in enumerate(deployment.hardware)
    ]
    return make_plan(deployment, facts, hardware)


def _gpu(deployment: Deployment, number: int, hardware: Hardware) -> Gpu:
    try:
        return gpu(hardware.gpu)
    except InputError as error:
        if error.where:  # the user's own catalogue is wrong, not this file
            raise
        where = str(deployment.path) if deployment.path else None
        raise InputError(
            error.message, hint=error.hint, where=where, field=f"hardware[{number}].gpu"
        ) from error
