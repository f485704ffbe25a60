"""What the command refuses before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.cli.main import run


def test_a_job_elsewhere_writes_no_metrics_here(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(repository / "pipelines" / "gemma-3-270m-gptq-w4a16.yaml")
    assert run(["quantize", spec, "--address", "http://127.0.0.1:1", "--metrics", "m.prom"]) == 2
    assert capsys.readouterr().err.startswith("shipfit: --metrics: a job of a cluster elsewhere")


def test_two_rays_are_refused(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(repository / "pipelines" / "gemma-3-270m-gptq-w4a16.yaml")
    assert run(["quantize", spec, "--address", "auto", "--rayjob", "rayjob.yaml"]) == 2
    assert capsys.readouterr().err.startswith("shipfit: --address: names another Ray than --rayjob does")
