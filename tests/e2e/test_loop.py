"""The loop as a user turns it: interrupted twice, then to its end, then once more with everything in place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from shipfit.artifacts import open_store
from shipfit.core.progress import NoProgress
from shipfit.environments import embedded
from shipfit.quantize import run_pipeline
from shipfit.spec import Pipeline, load

pytestmark = pytest.mark.e2e

NAME = "gemma-3-270m-gptq-w4a16"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State and data of this module's demo; the cache is shared, so that environments are built once."""
    return tmp_path_factory.mktemp("demo")


def folders(home: Path) -> dict[str, str]:
    return {"SHIPFIT_STATE_DIR": str(home / "state"), "SHIPFIT_DATA_DIR": str(home / "data")}


def environment(home: Path) -> dict[str, str]:
    return os.environ | folders(home)


def left_running(home: Path) -> list[str]:
    """Every process, of whatever program, that was started for this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("SHIPFIT_STATE_DIR", "").startswith(
                str(home)
            ):
                found.append(" ".join(process.cmdline()[:4]))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def nothing_left(home: Path, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while (left := left_running(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def start_demo(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "shipfit", "demo", "--progress", "json"]
    return subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def interrupt(home: Path, moment: str) -> None:
    """Run the demo until its progress tells of ``moment``, and press Ctrl-C."""
    with start_demo(home) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("{") and json.loads(line)["text"].startswith(moment):
                process.send_signal(signal.SIGINT)
                break
        _, rest = process.communicate(timeout=90)
    assert (process.returncode, rest.splitlines()[-1]) == (
        130,
        "shipfit: interrupted; the same command goes on from here",
    )
    nothing_left(home)


def is_published_whole_and_not_made_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in folders(home).items():
        monkeypatch.setenv(name, folder)
    with open_store(None, NoProgress()) as store:
        manifest = store.manifest(NAME, store.resolve(NAME, "stable"))
    assert manifest
    assert manifest.gate.passed
    assert manifest.total_bytes < manifest.source_bytes
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= {
        file.path for file in manifest.files
    }
    again = run_pipeline(load(embedded("pipelines", f"{NAME}.yaml"), Pipeline), NoProgress())
    assert again.unchanged
    assert again.manifest == manifest
    assert again.seconds == {}


def test_an_interrupted_loop_goes_on_to_its_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(home, "layer model.layers.1.")  # in the engine's worker
    interrupt(home, "replica-0: ")  # while vLLM starts
    with start_demo(home) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    summary = {line.split()[0]: line for line in out.splitlines()}
    assert list(summary) == ["planned", "made", "served", "measured", "SLO", "report"]
    assert "unchanged" in summary["made"]  # the second run published it; the third found it
    page = Path(summary["report"].split()[1])
    report = json.loads(page.with_suffix(".json").read_text())
    assert report["verdict"]["passed"] is True
    assert report["succeeded"] == report["requests"]
    assert {row["quantity"] for row in report["comparison"]["rows"]} >= {
        "KV cache of a replica",
        "memory of a replica",
    }
    assert "<html" in page.read_text()
    nothing_left(home)
    is_published_whole_and_not_made_again(home, monkeypatch)
