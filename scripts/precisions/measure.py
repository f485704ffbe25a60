"""One pipeline for real: quantize, gate, publish; pull what was published, verify it, and see what it answers."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.precisions.rows import Answer, Refusal, Row, Run, digest
from shipfit.artifacts import Store
from shipfit.core.errors import EnvironmentFailure, ExitCode, InputError
from shipfit.core.progress import Progress
from shipfit.core.worker import run_worker
from shipfit.environments import ensure
from shipfit.hardware import CPU, gpu
from shipfit.models import ModelFacts, load_facts
from shipfit.precision import scheme
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.gate import Evidence, decide, limits_of
from shipfit.quantize.inputs import Candidate, resolve
from shipfit.quantize.making import recorded
from shipfit.quantize.preflight.serving import artifact_facts
from shipfit.sizing.settings import Settings
from shipfit.sizing.support import refusals
from shipfit.spec import Gate, Pipeline, load

_WORKER = Path(__file__).with_name("transformers_worker.py")
_STAND_IN = "llm-compressor"
"""The environment that reads every artifact in safetensors."""
_SERVERS = {"vllm": "vLLM", "llama-cpp-python": "llama.cpp's server, llama-cpp-python"}


def measure(file: Path, before: Row | None, store: Store, progress: Progress) -> Row | Refusal:
    """Run a pipeline and ask what it published.

    Args:
        file: the pipeline; of one recipe, for the embedded store.
        before: what was measured of it earlier, if anything was.
        store: the embedded store.
        progress: told what is going on.

    Raises:
        ShipfitError: the pipeline failed, and not at its gate; or what it published cannot be pulled or asked.
    """
    pipeline = load(file, Pipeline)
    try:
        inputs = resolve(pipeline, progress)
    except InputError as error:
        return Refusal(digest=digest(pipeline), refusal=str(error).replace(f"{file.resolve().parent}/", ""))
    (candidate,) = inputs.candidates
    engine = candidate.engine
    ensure(engine.environment, engine.accelerator, progress)  # else its building would count as quantizing
    there = _is_made(store, pipeline.name, candidate)
    begun, load_before = time.monotonic(), os.getloadavg()[0]
    command = [sys.executable, "-m", "shipfit", "quantize", str(file), "--address", "auto"]
    code = subprocess.run(command, check=False).returncode
    measured = recorded(store, inputs, candidate) if code in (ExitCode.YES, ExitCode.NO) else None
    if measured is None:
        raise EnvironmentFailure(f"shipfit quantize ended with exit code {code}")
    evidence = measured.evidence
    failures = decide(evidence, limits_of(pipeline.gate, candidate.recipe.precision)).failures
    if failures:
        answer, facts = Answer(**_of_gate(evidence)), artifact_facts(inputs.facts, engine)
    else:
        pulled = store.pull(pipeline.name, pipeline.channel, progress).path
        answer, facts = _answer(evidence, pipeline.gate, pulled, progress), load_facts(str(pulled))
    run = before.run if before and before.fingerprint == candidate.fingerprint else None
    if not there:
        run = Run(
            seconds=round(time.monotonic() - begun, 1),
            cores=len(os.sched_getaffinity(0)),
            load=(round(load_before, 2), round(os.getloadavg()[0], 2)),
        )
    calibration = pipeline.calibration if engine.calibrates else None
    quantized: dict[str, Any] = evidence.details["quantize"]
    return Row(
        digest=digest(pipeline),
        fingerprint=candidate.fingerprint,
        engine=f"{engine.name} {engine.version}",
        recipe=engine.recipe,
        calibration=(calibration.samples, calibration.tokens) if calibration else None,
        quantize_s=quantized["seconds"],
        run=run,
        source_bytes=quantized["source_bytes"],
        weight_bytes=quantized["weight_bytes"],
        figures={name: figure for name, figure in evidence.figures.items() if math.isfinite(figure)},
        intervals={name: both for name, both in evidence.intervals.items() if all(map(math.isfinite, both))},
        failures=failures,
        answer=answer,
        planned=_planned(facts, str(candidate.recipe.precision)),
    )


def _is_made(store: Store, name: str, candidate: Candidate) -> bool:
    """Whether the engine has done its work before."""
    fingerprint = candidate.fingerprint
    return bool(store.manifest(name, fingerprint) or store.staged(name, fingerprint))


def _answer(evidence: Evidence, gate: Gate, artifact: Path, progress: Progress) -> Answer:
    """That of the gate, which asked files of the same digests in the engine that serves them; or of a stand-in."""
    told = Answer(**_of_gate(evidence))
    if told.engine or gate.generation is None:
        return told
    prompt = gate.generation.prompts[0]
    with progress.step("asking it in transformers"), tempfile.TemporaryDirectory() as folder:
        result = run_worker(
            ensure(_STAND_IN, progress=progress).python,
            _WORKER,
            {"artifact": str(artifact), "prompt": prompt, "tokens": gate.generation.tokens},
            doing="asking it in transformers",
            log=Path(folder) / "log",
            report=progress.update,
            modules=INSIDE,
            env={"HF_HUB_OFFLINE": "1"},
        )
    return told.model_copy(update={"engine": result["engine"], "prompt": prompt, "text": result["answer"]})


def _of_gate(evidence: Evidence) -> dict[str, Any]:
    """The first of the answers that the gate recorded, or what the engine said instead of one."""
    told: dict[str, Any] = evidence.details.get("generation", {})
    if not told.get("answers"):
        return {"refused": told.get("skipped")}
    first, versions = told["answers"][0], told["versions"]
    package = next(name for name in _SERVERS if name in versions)
    return {
        "engine": f"{_SERVERS[package]} {versions[package]}",
        "prompt": first["prompt"],
        "text": first["artifact"],
    }


def _planned(facts: ModelFacts, recipe: str) -> str | None:
    """What shipfit's plan says against vLLM on this machine's processor.

    Args:
        facts: of the artifact.
        recipe: its precision; the files may say another, as GPTQ with zero points is stored as AWQ is.
    """
    precision = (facts.quantization.precision if facts.quantization else None) or recipe
    return "; ".join(refusals(facts, gpu(CPU), scheme(precision), Settings())) or None
