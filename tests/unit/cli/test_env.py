from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from shipfit.cli.main import run
from shipfit.core.paths import state_dir
from shipfit.serve import local

SPEC = """\
apiVersion: shipfit/v1
kind: Deployment
name: idle
model: org/model
hardware: [{gpu: cpu, count: 2}]
promise: {context: 512, concurrency: 1}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHIPFIT_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "idle.yaml"
    path.write_text(SPEC)
    return path


def test_what_does_not_run_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 3 == run(["env", str(file)])
    assert f"shipfit: idle does not run; start it with `shipfit up {file}`\n" == capsys.readouterr().err


def test_a_shell_takes_the_variables_as_they_are(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-'; touch /nowhere; $(false) \"`"
    found = local.Running("idle", "http://127.0.0.1:8000/v1", key, "idle", Path(), None, 1)  # type: ignore[arg-type]
    monkeypatch.setattr(local, "running", lambda _name: found)
    assert 0 == run(["env", str(file)])
    script = capsys.readouterr().out + 'printf %s "$OPENAI_API_KEY"'
    assert key == subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert shlex.quote(key) in script


def test_status_and_down_of_what_never_ran(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(["status", str(file)])
    assert "idle: stopped\n" == capsys.readouterr().out
    assert 0 == run(["down", str(file)])
    assert 0o700 == state_dir("deployments", "idle").stat().st_mode & 0o777
