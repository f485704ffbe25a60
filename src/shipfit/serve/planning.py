"""From a Deployment to its Plan: reads the facts that planning needs, and leaves the deciding to sizing."""

from __future__ import annotations

from shipfit.core.errors import InputError
from shipfit.hardware import Gpu, gpu
from shipfit.models import ModelFacts, load_facts
from shipfit.sizing import Plan, make_plan
from shipfit.spec import Deployment, blame


def plan_deployment(deployment: Deployment) -> Plan:
    """The plan of a deployment.

    Raises:
        InputError: the model or a GPU is not known, or the promise exceeds what the model can hold.
        EnvironmentFailure: the hub or the store that the model lies in is out of reach.
        VerdictError: nothing at hand holds the promise.
    """
    base = deployment.path.parent if deployment.path else None
    with blame(deployment, "model"):
        facts = load_facts(deployment.model, base)
    with blame(deployment, "promise", "context"):
        _require_context(deployment, facts)
    return make_plan(
        deployment, facts, [_hardware(deployment, number) for number in range(len(deployment.hardware))]
    )


def _require_context(deployment: Deployment, facts: ModelFacts) -> None:
    asked, held = deployment.promise.context, facts.max_position_embeddings
    if asked > held:
        raise InputError(f"is {asked:,}, and {deployment.model} holds {held:,} tokens", hint="lower it")


def _hardware(deployment: Deployment, number: int) -> tuple[Gpu, int]:
    """A kind of GPU at hand and how many; for this machine's processor, cores."""
    asked = deployment.hardware[number]
    with blame(deployment, "hardware", number, "gpu"):
        kind = gpu(asked.gpu)
    with blame(deployment, "hardware", number, "count"):
        if kind.cpu and asked.count > kind.cpu.cores:
            raise InputError(
                f"is {asked.count}, and this machine has {kind.cpu.cores} cores", hint="lower it"
            )
    return kind, asked.count
