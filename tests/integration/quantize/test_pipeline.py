"""Pipelines on real parts: Ray, llm-compressor, the store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.integration

Make = Callable[..., Path]


def quantize(spec: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shipfit", "quantize", str(spec), "--json", "--progress", "plain"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def start(spec: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "shipfit", "quantize", str(spec), "--progress", "json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read progress up to the event whose text begins so."""
    assert process.stderr
    for line in process.stderr:
        if json.loads(line)["text"].startswith(text):
            return
    pytest.fail(f"ended without {text!r}")


def ours(home: Path) -> list[psutil.Process]:
    """Every process that works with this test's folders."""
    found = []
    for process in psutil.process_iter():
        try:
            state = process.environ().get("SHIPFIT_STATE_DIR", "")
            if process.pid != os.getpid() and state.startswith(str(home)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def assert_nothing_left(home: Path) -> None:
    deadline = time.monotonic() + 10
    while (left := ours(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def published(home: Path) -> list[Path]:
    return list((home / "bucket").rglob("manifest.json"))


def test_a_failed_gate_publishes_nothing_and_says_the_same_at_once_again(
    make_spec: Make, own_folders: Path
) -> None:
    spec = make_spec("gated", max_mean_kl=0)
    first = quantize(spec)
    assert first.returncode == 1
    assert "the gate failed, nothing was published: mean_kl" in first.stderr
    assert "misses max_mean_kl 0 by" in first.stderr
    assert published(own_folders) == []
    again = quantize(spec)
    assert again.returncode == 1
    assert again.stderr.splitlines()[-1] == first.stderr.splitlines()[-1]
    assert "starting Ray" not in again.stderr

    make_spec("gated")  # with limits that it keeps, what was made before is published
    passed = quantize(spec)
    assert passed.returncode == 0
    assert "starting Ray" not in passed.stderr
    assert len(published(own_folders)) == 1
    key = own_folders / "team.pem"
    command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]
    subprocess.run(command, check=True, capture_output=True)
    spec.write_text(f"{spec.read_text()}signing: {{private_key: team.pem}}\n")
    unchanged = quantize(spec)
    assert json.loads(unchanged.stdout)["unchanged"] is True
    assert len(list((own_folders / "bucket").rglob("signatures/*.json"))) == 1

    make_spec(
        "gated", max_mean_kl=0
    )  # and held to limits that it misses, it is refused, though it is published
    refused = quantize(spec)
    assert refused.returncode == 1
    assert "the gate failed, gated@stable was not moved" in refused.stderr
    assert_nothing_left(own_folders)


def test_a_killed_worker_is_one_line_and_leaves_nothing(make_spec: Make, own_folders: Path) -> None:
    process = start(make_spec("killed", samples=16))
    wait_for(process, "layer ")
    (worker,) = [one for one in ours(own_folders) if "launcher.py" in " ".join(one.cmdline())]
    worker.kill()
    _, errors = process.communicate(timeout=30)
    lines = [line for line in errors.splitlines() if not line.startswith("{")]
    assert process.returncode == 3
    assert len(lines) == 1
    assert "quantizing failed: the worker was killed by SIGKILL" in lines[0]
    assert "quantize.log" in lines[0]
    assert_nothing_left(own_folders)
    assert published(own_folders) == []


def test_an_interrupted_run_leaves_nothing_and_keeps_what_is_finished(
    make_spec: Make, own_folders: Path
) -> None:
    spec = make_spec("interrupted")
    process = start(spec)
    wait_for(process, "structure")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("shipfit: interrupted")
    assert_nothing_left(own_folders)
    assert published(own_folders) == []

    resumed = quantize(spec)
    assert resumed.returncode == 0
    assert "quantized by an earlier run" in resumed.stderr
    made = json.loads(resumed.stdout)
    assert "quantize" not in made["seconds"]

    spec.write_text(spec.read_text().replace("generation: null", "seed: 1\n  generation: null"))
    measured = quantize(spec)  # on other windows: measured again, and not made again
    assert measured.returncode == 0, measured.stderr
    again = json.loads(measured.stdout)
    assert again["fingerprint"] == made["fingerprint"]
    assert again["seconds"].keys() == {"structure", "distribution"}


def test_a_dead_raylet_is_one_line(make_spec: Make, own_folders: Path) -> None:
    process = start(make_spec("orphaned", samples=16))
    wait_for(process, "reading the calibration text")
    (raylet,) = [one for one in ours(own_folders) if one.name() == "raylet"]
    raylet.kill()
    _, errors = process.communicate(timeout=60)
    lines = [line for line in errors.splitlines() if not line.startswith("{")]
    assert process.returncode == 3
    assert len(lines) == 1
    assert "a process of Ray" in lines[0]
    assert_nothing_left(own_folders)
