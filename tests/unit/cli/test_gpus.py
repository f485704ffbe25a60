from __future__ import annotations

import json

import pytest

from shipfit.cli import main


def test_the_catalogue_fits_110_columns(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main.run(["gpus"]) == 0
    rows = capsys.readouterr().out.splitlines()
    (row,) = [each for each in rows if "H200-SXM-141GB" in each]
    assert row.split() == [
        "H200-SXM-141GB",
        "139.8",
        "4,800",
        "989",
        "1,979",
        "1,979",
        "-",
        "9.0",
        "nvswitch",
        "900",
    ]
    assert not [each for each in rows if "…" in each]


def test_one_gpu_shows_its_sources_and_mig_profiles(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main.run(["gpus", "NVIDIA-H100-80GB-HBM3"]) == 0
    text = capsys.readouterr().out
    assert "NVIDIA H100 datasheet" in text
    assert "79.19 GiB of 80 GB" in text
    assert "nvidia.com/mig-3g.40gb" in text


def test_one_gpu_as_json_has_every_source(capsys) -> None:
    assert main.run(["gpus", "A100-SXM4-80GB:3g.40gb", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["memory_gib"] == 39.25
    assert facts["resource"] == "nvidia.com/mig-3g.40gb"
    assert facts["source"]
    assert facts["usable_source"]


def test_an_unknown_gpu_is_one_line(capsys) -> None:
    assert main.run(["gpus", "H1000"]) == 2
    assert "no GPU is called 'H1000'; did you mean" in capsys.readouterr().err
