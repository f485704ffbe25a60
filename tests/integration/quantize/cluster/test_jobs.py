"""The whole command as a job of a real cluster: its end is a local run's, whatever is killed on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually

from .conftest import Nodes, Run, error_lines, wait_for

pytestmark = pytest.mark.integration

Make = Callable[..., Path]


@pytest.fixture
def start(nodes: Nodes) -> Iterator[Callable[[Path], Run]]:
    """Starts the command; ends what a failing test leaves."""
    runs: list[Run] = []

    def begin(spec: Path) -> Run:
        command = [sys.executable, "-m", "shipfit", "quantize", str(spec), "--address", nodes.url]
        command += ["--json", "--progress", "json"]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return runs[-1]

    yield begin
    for run in runs:
        with run:
            run.kill()


def drivers(home: Path) -> list[psutil.Process]:
    """The commands of jobs."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("SHIPFIT_STATE_DIR", "").startswith(str(home))
            if ours and process.cmdline()[1:2] and process.cmdline()[1].endswith("/shipfit"):
                found.append(process)
    return found


def launched(home: Path) -> list[psutil.Process]:
    """The engines at work."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("SHIPFIT_STATE_DIR", "").startswith(str(home))
            if ours and "launcher.py" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_a_job_ends_as_a_local_run_does(
    nodes: Nodes, start: Callable[[Path], Run], make_spec: Make, own_folders: Path
) -> None:
    nodes.add(cpus=2)
    spec = make_spec("sent")
    (own_folders / "data").mkdir(exist_ok=True)
    (own_folders / "data" / "text.jsonl").write_text(
        "".join(
            json.dumps({"text": f"Sentence {n} of a text that goes along with the job."}) + "\n"
            for n in range(99)
        )
    )
    spec.write_text(spec.read_text().replace("bundled:lcet10", "data/text.jsonl"))

    killed = start(spec)
    wait_for(killed, "quantize")
    wait_for(killed, "distribution")
    (driver,) = drivers(nodes.home)
    driver.kill()
    _, errors = killed.communicate(timeout=60)
    assert 3 == killed.returncode
    (line,) = error_lines(errors)
    assert "was killed by SIGKILL" in line

    first = start(spec)
    wait_for(first, "quantized by an earlier run")
    second = start(spec)
    results = [run.communicate(timeout=120) for run in (first, second)]
    assert [0, 0] == [first.returncode, second.returncode]
    assert "runs already: attached to it" in results[1][1]
    facts, same = (json.loads(out) for out, _ in results)
    assert facts == same
    assert not facts["unchanged"]
    assert "quantize" not in facts["seconds"]

    limit = "max_mean_kl: 9"
    assert limit in spec.read_text()
    spec.write_text(spec.read_text().replace(limit, "max_mean_kl: 0"))
    refused = start(spec)
    _, errors = refused.communicate(timeout=120)
    assert 1 == refused.returncode
    (line,) = error_lines(errors)
    assert line.startswith("shipfit: the gate failed")
    assert "mean_kl" in line


def test_an_interrupted_job_leaves_nothing(
    nodes: Nodes, start: Callable[[Path], Run], make_spec: Make, own_folders: Path
) -> None:
    nodes.add(cpus=2)
    run = start(make_spec("interrupted", samples=64))
    wait_for(run, "loading the model")
    (driver,) = drivers(nodes.home)
    engines = launched(nodes.home)
    assert engines
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert 130 == run.returncode
    assert error_lines(errors) == ["shipfit: interrupted; the same command goes on from here"]
    assert not driver.is_running()
    eventually(lambda: not any(each.is_running() for each in engines), 10)
