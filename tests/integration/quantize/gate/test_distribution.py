"""Distributions measured for real: against oneself, against an artifact, and from a baseline that is there already."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.quantize.gate.conftest import Measure, in_environment

pytestmark = pytest.mark.integration

_ROUND = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
with torch.no_grad():
    for name, weight in model.named_parameters():
        if "proj" in name:
            scale = weight.abs().amax(-1, keepdim=True) / 7
            weight.copy_((weight / scale).round() * scale)
model.save_pretrained(sys.argv[2])
"""

_BY_HAND = """
import json, sys, torch
from transformers import AutoModelForCausalLM
source, artifact = (AutoModelForCausalLM.from_pretrained(path, dtype="auto").eval() for path in sys.argv[1:3])
divergences, losses = [], [0.0, 0.0]
for window in json.load(open(sys.argv[3]))["windows"]:
    ids = torch.tensor([window["ids"]])
    with torch.inference_mode():
        p, q = (model(ids).logits[0, :-1].double().log_softmax(-1) for model in (source, artifact))
    divergences += torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1).tolist()
    for index, each in enumerate((p, q)):
        losses[index] += torch.nn.functional.nll_loss(each, ids[0, 1:], reduction="sum").item()
n = len(divergences)
print(json.dumps({"mean_kl": sum(divergences) / n, "ratio": 2.718281828459045 ** ((losses[1] - losses[0]) / n)}))
"""

_PRUNE = """
import fcntl, os, sys, pathlib, shipfit_baseline
for most in sys.argv[2:]:
    root = pathlib.Path(sys.argv[1]) / most
    for age, name in enumerate(["new", "kept", "read", "old"]):
        (root / name).mkdir(parents=True)
        (root / name / "baseline.json").write_bytes(b"x" * 100)
        os.utime(root / name / "baseline.json", (10**9 - age, 10**9 - age))
    shipfit_baseline.MOST_BYTES = int(most)
    with (root / "read.lock").open("w") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        shipfit_baseline.prune(root, keep="kept")
    print(*sorted(path.name for path in root.iterdir() if path.is_dir()))
"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen documents of a few hundred words."""
    path = tmp_path_factory.mktemp("documents") / "held-out.jsonl"
    lines = [
        {"text": " ".join(f"The {number * 7 + word}th ship leaves harbour {word}." for word in range(40))}
        for number in range(12)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def rounded(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with weights rounded to 4 bits: a loss that can be computed by other means."""
    folder = tmp_path_factory.mktemp("rounded")
    in_environment(_ROUND, tiny_model, folder)
    for file in tiny_model.glob("*token*"):
        (folder / file.name).symlink_to(file)
    return folder


def request(source: Path, artifact: Path, documents: Path, baselines: Path) -> dict[str, Any]:
    return {
        "source": str(source),
        "revision": "tiny",
        "artifact": str(artifact),
        "recipe": {"precision": "gptq-w4a16"},
        "documents": [{"path": str(documents), "weight": 1.0}],
        "documents_sha256": "d" * 64,
        "samples": 12,
        "tokens": 48,
        "seed": 3,
        "baselines": str(baselines),
    }


def test_figures_are_right_and_the_source_runs_once(
    tiny_model: Path, rounded: Path, documents: Path, tmp_path: Path, measure: Measure
) -> None:
    baselines = tmp_path / "baselines"
    asked = request(tiny_model, rounded, documents, baselines)
    with ThreadPoolExecutor(2) as pool:  # two recipes that want the same baseline at once
        first, beside = pool.map(measure, ["distribution.py"] * 2, [asked] * 2)
    assert first["figures"] == beside["figures"]
    (whole,) = baselines.glob("*/baseline.json")
    files = {path: path.stat().st_mtime_ns for path in whole.parent.glob("*.safetensors")}
    assert 12 == len(files)

    by_hand = json.loads(in_environment(_BY_HAND, tiny_model, rounded, whole).splitlines()[-1])
    figures = first["figures"]
    assert by_hand["mean_kl"] > 0
    assert by_hand["mean_kl"] == pytest.approx(figures["mean_kl"], rel=0.02)
    assert by_hand["ratio"] == pytest.approx(figures["perplexity_ratio"], rel=1e-3)
    assert 12 * 47 == figures["positions"]
    for name, (low, high) in first["intervals"].items():
        assert low <= figures[name] <= high
    details = first["details"]
    assert {"documents_sha256": "d" * 64, "samples": 12, "tokens": 48, "seed": 3} == details["text"]
    assert 12 == len(details["windows"])
    assert figures["mean_kl"] == pytest.approx(
        sum(window["mean_kl"] for window in details["windows"]) / 12, rel=1e-3
    )

    # A run that was cut off: what it finished is kept, the rest is made again, and the figures are the same.
    last = max(files)
    last.unlink()
    whole.unlink()
    again = measure("distribution.py", asked)
    assert first["figures"] == again["figures"]
    assert first["intervals"] == again["intervals"]
    assert last.exists()
    kept = {path: path.stat().st_mtime_ns for path in whole.parent.glob("*.safetensors")}
    assert {path: when for path, when in files.items() if path != last} == {
        path: when for path, when in kept.items() if path != last
    }

    # The source against itself, from the same baseline, though its folder is gone by then.
    same = measure("distribution.py", request(tmp_path / "gone", tiny_model, documents, baselines))
    assert 0.0 == same["figures"]["mean_kl"]
    assert 1.0 == same["figures"]["top1_agreement"]
    assert 1.0 == same["figures"]["perplexity_ratio"]
    assert math.isclose(figures["source_perplexity"], same["figures"]["artifact_perplexity"])
    assert [whole] == list(baselines.glob("*/baseline.json"))


def test_old_baselines_make_room_and_those_in_use_stay(tmp_path: Path) -> None:
    left = in_environment(_PRUNE, tmp_path, 400, 300, 0).splitlines()
    assert ["kept new old read", "kept new read", "kept read"] == left
