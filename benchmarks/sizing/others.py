"""Other predictors of the same rows: aiconfigurator, whose answers are kept in a file, and what others publish."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sizing.speed import Run
from shipfit.core.data import read_yaml
from shipfit.sizing import Speed

_FOLDER = Path(__file__).parent
_HOW = _FOLDER / "aiconfigurator.yaml"
_KEPT = _FOLDER / "aiconfigurator.json"
_PUBLISHED = _FOLDER / "published.yaml"
_SYSTEMS = ("a100_sxm", "h100_sxm", "h200_sxm", "b200_sxm", "b300_sxm", "gb200", "l40s")


@dataclass(frozen=True)
class Kept:
    """What aiconfigurator answered.

    Attributes:
        version: of its package.
        speeds: by row number; throughput is not among the answers.
        refused: reasons by row number.
    """

    version: str
    speeds: dict[str, Speed]
    refused: dict[str, str]


@dataclass(frozen=True)
class Published:
    """What a predictor's authors measured on rows of their own."""

    predictor: str
    quantity: str
    error: str
    rows: str
    source: str


def aiconfigurator() -> Kept:
    """The kept answers of aiconfigurator."""
    content = json.loads(_KEPT.read_text())
    speeds = {
        row: Speed(each["ttft_ms"] / 1000, each["tpot_ms"] / 1000, 0.0, 0.0, False)
        for row, each in content["predictions"].items()
    }
    return Kept(content["version"], speeds, content["refused"])


def ask_aiconfigurator(runs: Iterable[Run]) -> None:
    """Ask aiconfigurator about vLLM's runs whose model and GPU it knows and that are new to it, and keep its answers.

    Its package is installed in an environment that is gone afterwards.
    """
    how = read_yaml(_HOW)
    kept: dict[str, Any] = json.loads(_KEPT.read_text()) if _KEPT.exists() else {}
    if kept.get("version") != how["version"]:
        kept = {"version": how["version"], "predictions": {}, "refused": {}}
    known = {**kept["predictions"], **kept["refused"]}
    new = [run for run in runs if run.row.number not in known]
    answers = _ask(f"aiconfigurator=={how['version']}", [_question(run, how["models"]) for run in new])
    for part in ("predictions", "refused"):
        kept[part] |= answers[part]
    _KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def _ask(package: str, questions: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    asked = json.dumps([question for question in questions if question])
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, package], check=True)
        worker = _FOLDER / "aiconfigurator_worker.py"
        done = subprocess.run([python, worker], input=asked, capture_output=True, text=True, check=True)
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def _question(run: Run, models: dict[str, dict[str, str]]) -> dict[str, Any] | None:
    system = run.row.text("gpu")
    model = models.get(f"{run.label.model} {run.label.precision}")
    if run.label.engine != "vllm" or system not in _SYSTEMS or model is None or run.burst:
        return None
    settings = run.subject.settings
    tensor = settings.tensor
    experts = {}
    if run.subject.facts.experts:
        parallel = settings.expert_parallel
        experts = {"moe_tp_size": 1 if parallel else tensor, "moe_ep_size": tensor if parallel else 1}
    return {
        "row": run.row.number,
        "system_name": system,
        "backend_name": "vllm",
        "tp_size": tensor,
        "isl": run.tokens_in,
        "osl": run.tokens_out,
        "batch_size": run.concurrency,
        **model,
        **experts,
    }


def published() -> list[Published]:
    """What others publish about themselves, each with its source."""
    return [Published(**each) for each in read_yaml(_PUBLISHED)["errors"]]
