"""How pipeline parallelism divides a model into stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shipfit.models import ModelFacts, Weight


def stage_layers(layers: int, stages: int) -> list[range]:
    """The layers of each pipeline stage (vllm/distributed/utils.py, get_pp_indices).

    What does not divide goes to the stages before the last, from behind: the last has the head, and the first, which
    has the embedding, gets one more only where it must.
    """
    sizes = [layers // stages] * stages
    for number in range(2, layers % stages + 2):
        sizes[-number] += 1
    starts = [sum(sizes[:number]) for number in range(stages)]
    return [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]


def held(facts: ModelFacts, pipeline: int, stage: int) -> Iterator[Weight]:
    """The weights that a pipeline stage holds, each with its layers there.

    The first has the embedding, and so has the last where it is the head too.

    Args:
        facts: the model.
        pipeline: stages.
        stage: which of them, from 0.
    """
    own = stage_layers(facts.layers, pipeline)[stage]
    first, last = stage == 0, stage == pipeline - 1
    for weight in facts.weights:
        if weight.layers:
            yield from _in_layers(weight, own)
        elif weight.name == "embedding":
            if first or (last and facts.tied):
                yield weight
        elif weight.name not in ("head", "last_norm") or last:
            yield weight  # towers for images and sound are on every stage


def _in_layers(weight: Weight, own: range) -> Iterator[Weight]:
    if own.start <= weight.layers[0] and weight.layers[-1] < own.stop:
        yield weight
        return
    layers = tuple(layer for layer in weight.layers if layer in own)
    if layers:
        share = len(layers) / len(weight.layers)
        yield replace(
            weight, layers=layers, stored=None if weight.stored is None else round(weight.stored * share)
        )
