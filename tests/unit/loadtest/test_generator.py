from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.loadtest.client import CpuWatch
from shipfit.loadtest.generator import LostRecordsError, Traffic, _read
from shipfit.spec import Workload

WORKLOAD = Workload(request_rate=1, duration_s=10, input_tokens=64, output_tokens=16)


@pytest.fixture
def output() -> Any:
    document = json.loads(Path(__file__).with_name("guidellm-0.8.1.json").read_text())
    document["benchmarks"][0]["scheduler_state"]["processing_requests"] = 0
    return document


def dues(output: Any) -> list[float]:
    groups = output["benchmarks"][0]["requests"].values()
    return sorted(
        request["info"]["settings"]["relative_timestamp"] for group in groups for request in group or ()
    )


def read(folder: Path, output: Any, due: list[float]) -> Traffic:
    path = folder / "report.json"
    path.write_text(json.dumps(output))
    return _read(path, WORKLOAD, due, CpuWatch(0), folder / "log")


def test_what_was_due_and_is_not_reported_was_never_sent(output: Any, tmp_path: Path) -> None:
    traffic = read(tmp_path, output, [*dues(output), 9.5])
    assert ("unfinished", None) == (traffic.records[-1].error, traffic.records[-1].start_s)
    assert traffic.cpu_share is None


def test_a_record_that_guidellm_lost_is_not_held_against_the_server(output: Any, tmp_path: Path) -> None:
    output["benchmarks"][0]["scheduler_state"]["processing_requests"] = 1
    with pytest.raises(LostRecordsError, match="lost the records of 1 of 7 requests"):
        read(tmp_path, output, [*dues(output), 9.5])


def test_no_report_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="ended without a report"):
        _read(tmp_path / "missing.json", WORKLOAD, [1.0], CpuWatch(0), tmp_path / "log")
