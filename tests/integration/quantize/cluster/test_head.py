"""A cluster whose head is killed: the run says so in one line, and the next goes on from what is finished."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Nodes, error_lines, started, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def doomed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """The cluster that ``auto`` stands for, which no other test needs."""
    with started(tmp_path_factory.mktemp("doomed")) as nodes:
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        yield nodes


def test_a_lost_head_costs_the_stage_in_flight(
    doomed: Nodes, make_spec: Callable[..., Path], own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed.add(cpus=2)
    command = [sys.executable, "-m", "shipfit", "quantize", str(make_spec("headless")), "--progress", "json"]
    with subprocess.Popen(
        [*command, "--address", "auto"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        wait_for(run, "structure")
        doomed.kill_gcs()
        _, errors = run.communicate(timeout=120)
    assert 3 == run.returncode, errors
    (line,) = error_lines(errors)
    assert f":{doomed.port}, has not answered for 40 s; run it again when it is back" in line

    doomed.stop()
    monkeypatch.delenv("RAY_ADDRESS")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert 0 == done.returncode, done.stderr
    assert "quantized by an earlier run" in done.stderr
