"""What calibration needs, against figures that were counted by hand or measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from shipfit.core.progress import NoProgress
from shipfit.environments import Accelerator
from shipfit.models import load_facts
from shipfit.quantize.engines import engine_of
from shipfit.quantize.preflight import preflight
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
    needed = needs(facts, engine, text, 989, gpu=True)
    # 141 GB of 16-bit weights are 131 GiB, and those of the artifact come to 33 GiB before the source's go.
    assert 131 + 33 < needed.host_gib < 131 + 33 + 4
    # down_proj has 28672 inputs: its Hessian alone is 3.06 GiB and is there four times, and a layer's weights are 1.6.
    assert 4 * 3.06 + 1.6 < needed.gpu_gib < 24
    # The matrices of each of 80 layers have 77,824 columns together, half a millisecond each: 52 minutes.
    assert needed.seconds > 52 * 60


def test_without_a_gpu_all_of_it_is_the_hosts(pipeline: Pipeline) -> None:
    facts = load_facts("meta-llama/Llama-3.3-70B-Instruct")
    engine = engine_of(pipeline, pipeline.all_recipes[0])
    text = Calibration(dataset=["a"], samples=2048, tokens=2048)  # hidden states outweigh the artifact
    there, here = (needs(facts, engine, text, 1.0, gpu=gpu) for gpu in (True, False))
    of_cuda = 1.64  # context and libraries
    assert here.host_gib == pytest.approx(there.host_gib + there.gpu_gib - of_cuda)
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
    assert times[0] < times[1]
    plain = engine_of(pipeline, Recipe(precision=Precision.BF16))
    assert needs(facts, plain, None, 0.1, gpu=False).seconds < plain.made.costs.start_s + 1  # to write it


def test_what_a_gpu_will_take_is_told_of_the_one_that_was_measured(pipeline: Pipeline) -> None:
    class Heard(NoProgress):
        def note(self, text: str) -> None:
            said.append(text)

    said: list[str] = []
    engine = replace(engine_of(pipeline, pipeline.all_recipes[0]), accelerator=Accelerator.CUDA)
    preflight(pipeline, engine, load_facts("meta-llama/Llama-3.3-70B-Instruct"), Heard(), here=False)
    assert re.search(
        r" GiB of memory \(\S+ in the gate\), 1\d\.\d GiB of a GPU, .* GiB of disk, \d+ min on an H100$",
        said[-1],
    )
