"""What Prometheus is told of a run: read back by its own parser."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shipfit.artifacts import GateResult
from shipfit.core.errors import EnvironmentFailure
from shipfit.quantize.metrics import write_metrics
from shipfit.quantize.pipeline import Outcome, Refused

GATE = GateResult(passed=True, figures={"mean_kl": 0.05, "faults": 0}, limits={"max_mean_kl": 0.1})


def told(path: Path) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the labels besides the pipeline."""
    samples = [each for family in text_string_to_metric_families(path.read_text()) for each in family.samples]
    assert {"demo"} == {each.labels.pop("pipeline") for each in samples}
    return {(each.name, *each.labels.values()): each.value for each in samples}


def test_a_good_run_tells_what_it_took_and_measured(tmp_path: Path) -> None:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    manifest = cast("Any", SimpleNamespace(created_at=created, total_bytes=1000))
    outcome = Outcome(manifest, GATE, unchanged=False, seconds={"quantize": 61.5, "distribution": 9.0})
    write_metrics(tmp_path / "run.prom", "demo", outcome)
    figures = told(tmp_path / "run.prom")
    assert figures.pop(("shipfit_pipeline_end_seconds",)) > created.timestamp()
    assert figures == {
        ("shipfit_pipeline_exit_code",): 0,
        ("shipfit_pipeline_unchanged",): 0,
        ("shipfit_pipeline_stage_seconds", "quantize"): 61.5,
        ("shipfit_pipeline_stage_seconds", "distribution"): 9.0,
        ("shipfit_artifact_created_seconds",): created.timestamp(),
        ("shipfit_artifact_bytes",): 1000,
        ("shipfit_gate_figure", "mean_kl"): 0.05,
        ("shipfit_gate_figure", "faults"): 0,
        ("shipfit_gate_limit", "max_mean_kl"): 0.1,
    }


def test_of_what_the_gate_refused_the_figures_are_told_too(tmp_path: Path) -> None:
    write_metrics(tmp_path / "run.prom", "demo", Refused("the gate failed", hint=None, gate=GATE))
    figures = told(tmp_path / "run.prom")
    assert 1 == figures["shipfit_pipeline_exit_code",]
    assert 0.05 == figures["shipfit_gate_figure", "mean_kl"]
    assert ("shipfit_artifact_bytes",) not in figures


def test_a_failed_run_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    write_metrics(tmp_path / "run.prom", "demo", Refused("the gate failed", hint=None, gate=GATE))
    write_metrics(tmp_path / "run.prom", "demo", EnvironmentFailure("the store is gone"))
    figures = told(tmp_path / "run.prom")
    assert {("shipfit_pipeline_exit_code",), ("shipfit_pipeline_end_seconds",)} == figures.keys()
    assert 3 == figures["shipfit_pipeline_exit_code",]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="writing the metrics"):
        write_metrics(tmp_path / "gone" / "run.prom", "demo", EnvironmentFailure("x"))
