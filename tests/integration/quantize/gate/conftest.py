"""Runs the gate's workers as the pipeline does, and many calls of one in a single process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shipfit.core.process import child_environment
from shipfit.core.worker import run_worker
from shipfit.environments import ensure
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.gate import WORKERS

_MANY = """
import json, runpy, sys
script, requests = sys.argv[1], json.load(sys.stdin)
sys.path.append(script.rpartition("/")[0])
main = runpy.run_path(script)["main"]
print(json.dumps([main(request, lambda text, done: None) for request in requests]))
"""

_MXFP4 = """
import sys
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import QuantizationModifier
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
oneshot(model=model, recipe=QuantizationModifier(targets="Linear", scheme="MXFP4", ignore=["lm_head"]))
model.save_pretrained(sys.argv[2], save_compressed=True)
"""

Measure = Callable[[str, dict[str, Any]], dict[str, Any]]


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Runs a script of the gate in llm-compressor's environment."""

    def run(script: str, request: dict[str, Any]) -> dict[str, Any]:
        return run_worker(
            ensure("llm-compressor").python,
            WORKERS / script,
            request,
            doing="measuring",
            log=tmp_path / f"{uuid4()}.log",
            report=lambda text, done: None,
            modules=INSIDE,
            env={"HF_HUB_OFFLINE": "1"},
        )

    return run


def in_environment(code: str, *arguments: object, stdin: Any = None) -> str:
    """Run Python code in llm-compressor's environment, with the gate's modules; its standard output."""
    done = subprocess.run(
        [ensure("llm-compressor").python, "-c", code, *map(str, arguments)],
        input=json.dumps(stdin),
        capture_output=True,
        text=True,
        check=False,
        env=child_environment({"PYTHONPATH": f"{INSIDE}:{WORKERS}", "HF_HUB_OFFLINE": "1"}),
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    return done.stdout


def measure_all(script: str, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run one script on several requests."""
    answers: list[dict[str, Any]] = json.loads(
        in_environment(_MANY, WORKERS / script, stdin=requests).splitlines()[-1]
    )
    return answers


@pytest.fixture(scope="session")
def tiny_mxfp4(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in a format that vLLM has no kernel for on a processor."""
    folder = tmp_path_factory.mktemp("mxfp4") / "artifact"
    in_environment(_MXFP4, tiny_model, folder)
    for file in tiny_model.glob("*token*"):
        (folder / file.name).symlink_to(file.resolve())
    return folder
