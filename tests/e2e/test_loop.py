"""The loop as a user turns it: interrupted twice, then to its end, then once more with everything in place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State and data of this module's demo; the cache is shared, so that environments are built once."""
    return tmp_path_factory.mktemp("demo")


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"SHIPFIT_STATE_DIR": str(home / "state"), "SHIPFIT_DATA_DIR": str(home / "data")}


def left_running(home: Path) -> list[str]:
    """Every process, of whatever program, that was started for this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("SHIPFIT_STATE_DIR", "").startswith(str(home)):
                found.append(" ".join(process.cmdline()[:4]))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def nothing_left(home: Path, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while (left := left_running(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    return True


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, object]]:
    assert process.stderr
    for line in process.stderr:
        if line.startswith("{"):
            yield json.loads(line)


def start_demo(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "shipfit", "demo", "--progress", "json"]
    return subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("moment", ["quantize", "start"])
def test_an_interrupted_demo_leaves_nothing_running(home: Path, moment: str) -> None:
    with start_demo(home) as process:
        for event in events(process):
            if str(event.get("text", "")).startswith(moment) and event["event"] == "update":
                process.send_signal(signal.SIGINT)
                break
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "shipfit: interrupted; the same command goes on from here"
    assert nothing_left(home)
