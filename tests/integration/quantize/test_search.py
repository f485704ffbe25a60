"""Several recipes: each made and gated that can be served where the artifact goes, and the one that loses least kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: search
source: {source}
recipes:
  - precision: gptq-w4a16
    group_size: 32
  - precision: fp8-w8a8
  - precision: nvfp4
choose: least-loss-that-fits
serving:
  hardware: {{gpu: cpu}}
  promise: {{context: 128, concurrency: 1}}
calibration:
  dataset: [bundled:lcet10]
  samples: 4
  tokens: 32
gate:
  dataset: [bundled:alice29]
  samples: 4
  tokens: 32
  max_mean_kl: 9
  max_p99_kl: 99
  min_top1_agreement: 0
  max_perplexity_ratio: 99
  generation: null # a model of two layers says nothing
store: {store}
"""


def test_the_recipe_that_loses_least_is_published_and_the_others_are_told_of(
    tiny_model: Path, own_folders: Path
) -> None:
    (own_folders / "bucket").mkdir()
    path = own_folders / "search.yaml"
    path.write_text(_SPEC.format(source=tiny_model, store=(own_folders / "bucket").as_uri()))
    command = [sys.executable, "-m", "shipfit", "quantize", str(path), "--json", "--progress", "plain"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads(done.stdout)
    rows = facts["choice"]
    losses = {row["recipe"].split()[0]: row["figures"].get("mean_kl") for row in rows}
    assert losses.keys() == {"gptq-w4a16", "fp8-w8a8", "nvfp4"}
    assert losses["fp8-w8a8"] < losses["gptq-w4a16"]
    assert losses["nvfp4"] is None
    assert facts["recipe"]["precision"] == "fp8-w8a8"
    assert [row["chosen"] for row in rows] == [True, False, False]
    assert rows[1]["reason"] == "loses more"
    assert "cannot be served there" in rows[2]["reason"]

    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(again.stdout)["unchanged"] is True
    assert "starting Ray" not in again.stderr
