"""What the gate measures, in this order: the cheapest first, so that a broken artifact costs minutes and not hours.

| measurement | script | environment | figures |
|---|---|---|---|
| structure | workers/structure.py | that reads the artifact | structure_faults |
| distribution | workers/distribution.py | the same | mean_kl, p99_kl, top1_agreement, perplexities and their ratio |
| tasks | workers/tasks.py | lm-eval | recovery |
| generation | workers/generation.py | the serving engine | faulty, greedy_agreement |

A GGUF file is read by llama.cpp: workers/gguf.py gives the figures of structure and distribution, and
workers/gguf_generation.py asks llama.cpp's own server. Every script is a worker (``shipfit.core.launcher``) and answers
``{"figures": {name: number}, "intervals": {name: [low, high]}, "details": {...}}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.environments import Accelerator, local_accelerator
from shipfit.quantize.engines import Engine
from shipfit.spec import Gate, Pipeline

WORKERS = Path(__file__).with_name("workers")
"""The scripts that measure."""

TASKS_ENVIRONMENT = "lm-eval"
"""The environment of the benchmarks."""


@dataclass(frozen=True)
class Measurement:
    """One script of the gate, and what it is asked.

    Attributes:
        name: "structure", "distribution", "tasks" or "generation".
        doing: what it is, for lines of progress and errors.
        environment: name of the environment that it runs in.
        accelerator: the build of that environment.
        script: the worker.
        request: what it is asked; JSON-compatible.
    """

    name: str
    doing: str
    environment: str
    accelerator: Accelerator
    script: Path
    request: dict[str, Any]


def measurements(
    engine: Engine,
    gate: Gate,
    *,
    source: Path,
    revision: str,
    artifact: Path,
    documents: Sequence[Mapping[str, Any]],
    documents_sha256: str,
    baselines: Path,
) -> list[Measurement]:
    """All that is to be measured, in order.

    Args:
        engine: what made the artifact, with its settled recipe.
        gate: of the pipeline, as from ``with_task_files``.
        source: folder of the source model.
        revision: the source's exact revision: the baselines of one are never taken for those of another.
        artifact: folder of the artifact.
        documents: held-out text: ``{"path": JSONL file, "weight": share}`` each.
        documents_sha256: digest of that text.
        baselines: folder in which the workers keep what they measure of the source alone, for the next recipe.
    """
    request = {
        "source": str(source),
        "revision": revision,
        "artifact": str(artifact),
        "recipe": engine.recipe,
        "documents": [dict(each) for each in documents],
        "documents_sha256": documents_sha256,
        "samples": gate.samples,
        "tokens": gate.tokens,
        "seed": gate.seed,
        "baselines": str(baselines),
    }
    return [
        *_readings(engine, request),
        *_tasks(gate, request),
        *_generation(engine, gate, request),
    ]


def with_task_files(pipeline: Pipeline) -> Gate:
    """The gate of a pipeline, its task files by their absolute paths instead of as seen from the pipeline's folder."""
    gate = pipeline.gate
    if gate.tasks is None:
        return gate
    found = {name: pipeline.resolve(name) for name in gate.tasks.names}
    names = [str(path) if path.is_file() else name for name, path in found.items()]
    return gate.model_copy(update={"tasks": gate.tasks.model_copy(update={"names": names})})


def _readings(engine: Engine, request: dict[str, Any]) -> list[Measurement]:
    """What is measured in the environment that reads what the engine writes."""
    if engine.declared.writes == "gguf":
        scripts = {"distribution": ("comparing with the source", "gguf.py")}
    else:
        scripts = {
            "structure": ("checking every tensor", "structure.py"),
            "distribution": ("comparing with the source", "distribution.py"),
        }
    return [
        Measurement(name, doing, engine.measured_in, engine.accelerator, WORKERS / script, request)
        for name, (doing, script) in scripts.items()
    ]


def _tasks(gate: Gate, request: dict[str, Any]) -> list[Measurement]:
    if gate.tasks is None:
        return []
    asked = request | {"tasks": gate.tasks.model_dump(mode="json")}
    script = WORKERS / "tasks.py"
    return [
        Measurement("tasks", "running the benchmarks", TASKS_ENVIRONMENT, local_accelerator(), script, asked)
    ]


def _generation(engine: Engine, gate: Gate, request: dict[str, Any]) -> list[Measurement]:
    if gate.generation is None:
        return []
    asked = request | {"generation": gate.generation.model_dump(mode="json")}
    if engine.declared.writes == "gguf":
        environment, accelerator, script = engine.measured_in, engine.accelerator, "gguf_generation.py"
    else:
        accelerator = local_accelerator()
        environment, script = f"vllm-{accelerator}", "generation.py"
    return [
        Measurement(
            "generation", "asking it in the serving engine", environment, accelerator, WORKERS / script, asked
        )
    ]
