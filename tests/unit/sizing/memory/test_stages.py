from __future__ import annotations

from dataclasses import replace

import pytest

from shipfit.models import Split, Weight, load_facts
from shipfit.sizing.memory.stages import held, stage_layers


@pytest.mark.parametrize(
    ("layers", "stages", "expected"),
    [(8, 2, [4, 4]), (9, 2, [5, 4]), (10, 4, [2, 3, 3, 2]), (11, 4, [3, 3, 3, 2]), (61, 1, [61])],
)
def test_layers_are_divided_as_vllm_divides_them(layers: int, stages: int, expected: list[int]) -> None:
    assert expected == [len(stage) for stage in stage_layers(layers, stages)]


def test_a_stage_holds_its_layers_and_the_ends_lie_on_the_first_and_the_last() -> None:
    weights = (
        Weight("embedding", 8, 8, Split.OUTPUTS),
        Weight("head", 8, 8, Split.OUTPUTS),
        Weight("last_norm", 8, 1, Split.NONE),
        Weight("dense", 8, 8, Split.OUTPUTS, (0,), stored=128),
        Weight("sparse", 8, 8, Split.OUTPUTS, (1, 2, 3), stored=384),
        Weight("vision", 8, 8, Split.NONE),
    )
    model = replace(load_facts("Qwen/Qwen3-8B"), layers=4, weights=weights)
    first, last = (
        {weight.name: (weight.layers, weight.stored) for weight in held(model, 2, stage)} for stage in (0, 1)
    )
    assert {
        "embedding": ((), None),
        "dense": ((0,), 128),
        "sparse": ((1,), 128),
        "vision": ((), None),
    } == first
    assert {
        "head": ((), None),
        "last_norm": ((), None),
        "sparse": ((2, 3), 256),
        "vision": ((), None),
    } == last


def test_a_tied_embedding_lies_on_two_stages() -> None:
    model = load_facts("Qwen/Qwen3-0.6B")
    names = [[weight.name for weight in held(model, 3, stage)] for stage in range(3)]
    assert [True, False, True] == ["embedding" in each for each in names]
