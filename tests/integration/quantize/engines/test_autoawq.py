"""AutoAWQ on a small Llama: quantized on the CPU, loaded by the gate, answering in vLLM; and what it must not hide."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.process import child_environment
from shipfit.environments import embedded, ensure
from shipfit.quantize.engines import INSIDE

pytestmark = pytest.mark.integration

_REFUSED = """
import importlib.util, json, sys, torch
spec = importlib.util.spec_from_file_location("worker", sys.argv[1])
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
from awq import AutoAWQForCausalLM
from functools import partial
model = AutoAWQForCausalLM.from_pretrained(
    sys.argv[2], torch_dtype=torch.bfloat16, device_map="cpu", trust_remote_code=False)
samples = json.loads(sys.argv[3])
try:
    model.quantize(None, quant_config={"q_group_size": 64, "version": "GEMM"}, calib_data=samples,
        max_calib_samples=len(samples), max_calib_seq_len=len(samples[0]),
        quantizer_cls=partial(worker.Followed, report=print))
except (worker.DroppedSamplesError, worker.NeverRoutedError) as error:
    print(error)
"""

_MIXTRAL = """
import sys, torch
from transformers import MixtralConfig, MixtralForCausalLM
torch.manual_seed(0)
config = MixtralConfig(vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=1, num_local_experts=16, num_experts_per_tok=1)
MixtralForCausalLM(config).to(torch.bfloat16).save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def result(calibrate: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return calibrate("autoawq", "awq-w4a16", group_size=64)


def test_it_is_quantized_as_gemm_on_the_cpu(result: dict[str, Any], small_llama: Path) -> None:
    assert result["faults"] == []
    assert result["layers"] == 4 * 7
    assert (result["samples"], result["tokens"]) == (8, 8 * 128)
    assert [f"layer {n} of 4" for n in range(1, 5)] == [
        text for text, _ in result["progress"] if text.startswith("layer ")
    ]
    config = json.loads((result["output"] / "config.json").read_bytes())
    said = config.pop("quantization_config")
    assert json.loads((small_llama / "config.json").read_bytes()) == config
    assert ("awq", "gemm", 4, 64) == (said["quant_method"], said["version"], said["bits"], said["group_size"])


def test_the_gate_reads_it_as_vllm_serves_it(
    result: dict[str, Any],
    loaded: Callable[..., list[dict[str, Any]]],
    served: Callable[..., list[list[int]]],
) -> None:
    source, read = loaded(result["output"])
    assert read["loss"] != source["loss"]
    assert source["loss"] < 4  # nats a token; 8.8 before training
    assert source["loss"] - 0.05 < read["loss"] < source["loss"] + 0.2
    assert [read["answer"]] == served(result["output"])


def refusal(model: Path, samples: list[list[int]]) -> str:
    """What the engine's quantizer says in the end."""
    worker = embedded("pipelines", "engines", "autoawq", "worker.py")
    return run(_REFUSED, str(worker), str(model), json.dumps(samples)).splitlines()[-1]


def run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [ensure("autoawq").python, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment({"PYTHONPATH": str(INSIDE), "HF_HUB_OFFLINE": "1"}),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_samples_that_the_engine_drops_are_an_error(small_llama: Path) -> None:
    """It leaves out those that are too long, and joins the rest, without a word."""
    taken = refusal(small_llama, [[1] * 32, [1] * 33, [1] * 32])
    assert taken == "AutoAWQ took 2 samples of 32 tokens of 3 of 32"


def test_experts_that_no_sample_reaches_are_an_error(tmp_path: Path) -> None:
    run(_MIXTRAL, str(tmp_path))
    said = refusal(tmp_path, [[1, 2, 3, 4]])
    assert re.fullmatch(
        r"no calibration token reached block_sparse_moe\.experts\.\d+\.w1 of layer 1", said
    ), said
