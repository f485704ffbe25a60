"""What the gate measures, in which order and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.environments import Accelerator, declarations
from shipfit.quantize.engines import Declaration, Engine, engines
from shipfit.quantize.gate import Measurement, measurements
from shipfit.spec import Gate


def listed(gate: dict[str, Any], declared: Declaration | None = None) -> list[Measurement]:
    engine = Engine(
        "llm-compressor",
        declared or engines()["llm-compressor"],
        {"precision": "gptq-w4a16", "engine": "llm-compressor", "group_size": 128},
        Accelerator.CPU,
    )
    return measurements(
        engine,
        Gate.model_validate({"dataset": ["a.txt"], "samples": 4, "tokens": 64, **gate}),
        source=Path("/source"),
        revision="abc",
        artifact=Path("/artifact"),
        documents=[{"path": "/a.jsonl", "weight": 1.0}],
        documents_sha256="d" * 64,
        baselines=Path("/baselines"),
    )


def test_the_cheapest_comes_first() -> None:
    every = listed({"tasks": {"names": ["arc_easy"]}})
    assert [each.name for each in every] == ["structure", "distribution", "tasks", "generation"]
    assert [each.name for each in listed({"generation": None})] == ["structure", "distribution"]


def test_every_environment_and_script_is_there_and_every_request_is_json() -> None:
    for each in listed({"tasks": {"names": ["arc_easy"], "limit": 8}}):
        assert each.environment in declarations()
        assert each.script.is_file()
        assert json.loads(json.dumps(each.request)) == each.request
        assert each.request["recipe"]["precision"] == "gptq-w4a16"
        assert each.request["samples"] == 4
        assert each.request["documents"] == [{"path": "/a.jsonl", "weight": 1.0}]


def test_tasks_and_generation_are_asked_with_their_settings() -> None:
    tasks, generation = listed({"tasks": {"names": ["arc_easy"], "limit": 8}})[2:]
    assert tasks.request["tasks"] == {"names": ["arc_easy"], "limit": 8, "min_recovery": 0.98}
    assert generation.request["generation"]["tokens"] == 32


@pytest.mark.parametrize("asked", [{}, {"generation": None}])
def test_gguf_is_read_by_its_own_engine(asked: dict[str, Any]) -> None:
    declared = engines()["llm-compressor"].model_copy(update={"writes": "gguf", "environment": "llama.cpp"})
    every = listed(asked, declared)
    assert {each.environment for each in every} == {"llama.cpp"}
    assert every[0].script.name == "gguf.py"
