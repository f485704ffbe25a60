"""What calibration needs, against figures that were counted by hand or measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.models import load_facts
from shipfit.quantize.engines import engine_of
from shipfit.quantize.preflight.calibration import artifact_bytes, needs
from shipfit.spec import Calibration, Pipeline, Recipe, load
from shipfit.spec.precision import Precision


@pytest.fixture
def pipeline(repository: Path) -> Pipeline:
    return load(repository / "pipelines" / "llama-3.3-70b-gptq.yaml", Pipeline)


def test_a_70b_needs_its_weights_on_the_host_and_a_layer_on_the_gpu(pipeline: Pipeline) -> None:
    facts = load_facts("meta-llama/Llama-3.3-70B-Instruct")
    engine = engine_of(pipeline, pipeline.all_recipes[0])
    text = Calibration(dataset=["a"], samples=256, tokens=2048)
    needed = needs(facts, engine, text, None, gpu=True)
    # 140 GB of 16-bit weights are 131 GiB; 256 x 2048 hidden states of 8192 in 16 bits are 8 GiB a copy.
    assert 131 + 8 < needed.host_gib < 131 + 3 * 8 + 8
    # down_proj has 28672 inputs: its Hessian alone is 3.06 GiB, and a layer's weights are 1.6.
    assert 4.7 < needed.gpu_gib < 24
    assert needed.seconds is None


def test_without_a_gpu_all_of_it_is_the_hosts(pipeline: Pipeline) -> None:
    facts = load_facts("meta-llama/Llama-3.3-70B-Instruct")
    engine = engine_of(pipeline, pipeline.all_recipes[0])
    text = Calibration(dataset=["a"], samples=8, tokens=2048)
    there, here = (needs(facts, engine, text, 1.0, gpu=gpu) for gpu in (True, False))
    assert here.host_gib == pytest.approx(there.host_gib + there.gpu_gib)
    assert here.gpu_gib == 0


@pytest.mark.parametrize(("precision", "gib"), [("bf16", 131.4), ("fp8-w8a8", 67.7), ("gptq-w4a16", 37.0)])
def test_an_artifact_is_as_large_as_its_precision_says(precision: str, gib: float) -> None:
    facts = load_facts("meta-llama/Llama-3.3-70B-Instruct")
    assert gib == pytest.approx(artifact_bytes(facts, Precision(precision)) / 2**30, rel=0.03)


def test_more_text_takes_longer_and_none_takes_none(pipeline: Pipeline) -> None:
    facts = load_facts("bundled:gemma-3-270m")
    engine = engine_of(pipeline, pipeline.all_recipes[0])
    times = [
        needs(facts, engine, Calibration(dataset=["a"], samples=n, tokens=256), 0.1, gpu=False).seconds
        for n in (16, 32)
    ]
    assert times[0] is not None
    assert times[1] is not None
    assert times[0] < times[1]
    plain = engine_of(pipeline, Recipe(precision=Precision.BF16))
    assert needs(facts, plain, None, 0.1, gpu=False).seconds == plain.made.costs.start_s
