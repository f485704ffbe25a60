"""GPTQModel, and what AutoGPTQ made in the same format: quantized, loaded by the gate, answering in vLLM."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.process import child_environment
from shipfit.environments import embedded, ensure
from shipfit.quantize.engines import INSIDE

pytestmark = pytest.mark.integration

Calibrate = Callable[..., dict[str, Any]]

AUTO_GPTQ = {
    "bits": 4,
    "group_size": 64,
    "damp_percent": 0.01,
    "desc_act": False,
    "static_groups": False,
    "sym": True,
    "true_sequential": True,
    "model_name_or_path": None,
    "model_file_base_name": None,
    "is_marlin_format": False,
    "quant_method": "gptq",
}
"""What AutoGPTQ 0.7.1 says of its checkpoints: ``BaseQuantizeConfig.to_dict`` in auto_gptq/modeling/_base.py."""

KEPT = "model.layers.1.mlp.down_proj"

_SPOIL = """
import importlib.util, json, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
spec = importlib.util.spec_from_file_location("worker", sys.argv[1])
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
weights = load_file(Path(sys.argv[2]) / "model.safetensors")
weights["model.layers.0.mlp.down_proj.scales"][2, 5] = float("inf")
save_file(weights, Path(sys.argv[3]) / "model.safetensors")
layers = [name.removesuffix(".scales") for name in weights if name.endswith(".scales")]
expected = {*layers, "model.layers.1.mlp.down_proj"} - {"model.layers.0.mlp.up_proj"}
row = {"process": "gptq", "layer": 0, "module": "mlp.up_proj", "loss": "0.0000107559", "samples": "512"}
log = {"gptq": [row, {**row, "layer": 2, "loss": "fallback(rtn): 0.0012", "samples": "12"},
    {**row, "layer": 3, "loss": "rtn fallback", "samples": "0"}]}
print(json.dumps(worker.faults(Path(sys.argv[3]), expected) + worker.rounded(log, layers)))
"""


@pytest.fixture(scope="module")
def result(calibrate: Calibrate) -> dict[str, Any]:
    return calibrate(
        "gptqmodel", "gptq-w4a16", group_size=64, act_order=True, ignore=["lm_head", "re:.*1.mlp.down_proj"]
    )


def test_every_layer_but_those_ignored_is_quantized(result: dict[str, Any]) -> None:
    assert result["faults"] == []
    assert result["layers"] == 4 * 7 - 1
    assert (result["samples"], result["tokens"]) == (8, 8 * 128)
    fractions = [fraction for _, fraction in result["progress"]]
    assert sorted(fractions) == fractions
    assert [f"layer {n} of 4" for n in range(1, 5)] == [
        text for text, _ in result["progress"] if text.startswith("layer ")
    ]


def test_the_folder_is_the_sources_but_for_the_weights(result: dict[str, Any], small_llama: Path) -> None:
    assert {file.name for file in small_llama.iterdir()} == {file.name for file in result["output"].iterdir()}
    config = json.loads((result["output"] / "config.json").read_bytes())
    said = config.pop("quantization_config")
    assert json.loads((small_llama / "config.json").read_bytes()) == config
    assert (4, 64, True, False, "gptq") == (
        said["bits"],
        said["group_size"],
        said["sym"],
        said["desc_act"],
        said["checkpoint_format"],
    )
    assert said["meta"]["act_group_aware"]
    assert str(result["output"].parent) not in json.dumps(said)


def test_the_gate_reads_it_and_auto_gptqs_as_vllm_serves_them(
    result: dict[str, Any],
    loaded: Callable[..., list[dict[str, Any]]],
    served: Callable[..., list[list[int]]],
    tmp_path: Path,
) -> None:
    artifact = result["output"]
    by_auto_gptq, early = tmp_path / "auto-gptq", tmp_path / "early"
    for folder in (by_auto_gptq, early):
        shutil.copytree(artifact, folder)
        (folder / "model.safetensors").rename(folder / "gptq_model-4bit-64g.safetensors")
        (folder / "quantize_config.json").write_text(json.dumps(AUTO_GPTQ))
        config = json.loads((folder / "config.json").read_bytes())
        del config["quantization_config"]
        if folder is by_auto_gptq:
            config["quantization_config"] = {**AUTO_GPTQ, "dynamic": {f"-:^{KEPT}$": {}}}
        (folder / "config.json").write_text(json.dumps(config))
    source, *read = loaded(artifact, by_auto_gptq, early)
    assert read[0] == read[1] == read[2]
    assert read[0]["loss"] != source["loss"]  # it is the quantized one
    assert source["loss"] < 4  # nats a token; 8.8 before training
    assert source["loss"] - 0.05 < read[0]["loss"] < source["loss"] + 0.2
    assert [read[0]["answer"]] * 2 == served(artifact, by_auto_gptq)


def test_what_went_wrong_without_a_word_is_told(result: dict[str, Any], tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    worker = embedded("pipelines", "engines", "gptqmodel", "worker.py")
    done = subprocess.run(
        [ensure("gptqmodel").python, "-c", _SPOIL, worker, result["output"], spoilt],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment({"PYTHONPATH": str(INSIDE), "HF_HUB_OFFLINE": "1"}),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = {
        fault["layer"]: (fault["kind"], fault["detail"]) for fault in json.loads(done.stdout.splitlines()[-1])
    }
    assert {
        KEPT: ("left-out", "is as it was; the recipe quantizes it"),
        "model.layers.0.mlp.up_proj": ("unexpected", "is quantized; the recipe leaves it as it is"),
        "model.layers.0.mlp.down_proj": ("not-finite", "1 of 3072 scales are NaN or Inf"),
        "model.layers.2.mlp.up_proj": (
            "rounded",
            "rounded to the nearest: 12 tokens of the calibration reached it",
        ),
        "model.layers.3.mlp.up_proj": (
            "never-routed",
            "rounded to the nearest: 0 tokens of the calibration reached it",
        ),
    } == told
