"""The memory of one GPU in detail, as the plan shows it."""

from __future__ import annotations

from shipfit.core.units import GIB
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing.memory.weights import weight_terms
from shipfit.sizing.planning.plan import Term
from shipfit.sizing.settings import Settings
from shipfit.sizing.size import Sizing


def terms(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings, sizing: Sizing) -> list[Term]:
    """Every part of the memory of one GPU, its weights matrix by matrix, the largest first.

    Args:
        facts: the model.
        gpu: the kind of GPU, or this machine's processor.
        scheme: how the weights are stored.
        settings: how the replica is split and started.
        sizing: the memory of one replica.
    """
    others = [
        Term(part=each.part, name=each.name, gib=round(each.gib, 4), formula=each.formula, source=each.source)
        for each in sizing.terms
        if each.part != "weights"
    ]
    return [*_weights(facts, gpu, scheme, settings), *others]


def _weights(facts: ModelFacts, gpu: Gpu, scheme: Scheme, settings: Settings) -> list[Term]:
    """The weights of the fullest pipeline stage."""
    stages = [
        weight_terms(facts, scheme, settings, stage, gpu.capability) for stage in range(settings.pipeline)
    ]
    fullest = max(stages, key=lambda parts: sum(part.bytes for part in parts))
    return [
        Term(
            part="weights",
            name=part.name.replace(".", " ").replace("_", " "),
            gib=round(part.bytes / GIB, 4),
            formula=part.formula,
            source="headers of the checkpoint" if facts.stored_read else facts.source,
        )
        for part in sorted(fullest, key=lambda part: -part.bytes)
    ]
