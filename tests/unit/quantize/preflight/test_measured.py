"""The preflight's figures beside what was measured on a GPU: measured.yaml says where and how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.data import read_yaml
from shipfit.environments import Accelerator
from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.quantize.engines import Engine, engines
from shipfit.quantize.preflight.calibration import Needs, needs
from shipfit.spec import Calibration
from shipfit.spec.precision import Precision

_MEASURED = read_yaml(Path(__file__).with_name("measured.yaml"))


def _label(run: dict[str, Any]) -> str:
    return f"{run['engine']}-{run['precision']}-{run['model'][0]}-{run['samples']}{'-offloaded' * run.get('offload', False)}"


def _predicted(run: dict[str, Any], folder: Path) -> Needs:
    shape, layers = run["model"]
    declared = engines()[run["engine"]]
    made = declared.precisions[Precision(run["precision"])]
    recipe = {name: setting.default for name, setting in made.settings.items()}
    engine = Engine(
        run["engine"], declared, {"precision": run["precision"], **recipe}, accelerator=Accelerator.CUDA
    )
    config = _MEASURED["shapes"][shape] | {"num_hidden_layers": layers}
    (folder / "config.json").write_text(json.dumps(config))
    facts = load_facts(str(folder))
    text = Calibration(dataset=["a"], samples=run["samples"], tokens=run["tokens"])
    return needs(
        facts, engine, text, gpu("H100-SXM5-80GB").tflops["bf16"], gpu=True, offload=run.get("offload", False)
    )


@pytest.mark.parametrize("run", _MEASURED["runs"], ids=_label)
def test_predictions_are_near_what_was_measured(run: dict[str, Any], tmp_path: Path) -> None:
    predicted = _predicted(run, tmp_path)
    within = run.get("within", 0.15)
    assert predicted.gpu_gib * 1024 == pytest.approx(run["gpu_mib"], rel=within)
    assert predicted.host_gib * 1024 == pytest.approx(run["host_mib"], rel=within)
    if "seconds" in run:
        assert predicted.seconds == pytest.approx(run["seconds"], rel=within)
