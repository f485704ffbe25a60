"""Measure what an engine takes of a GPU, the host and time on a model of random weights, beside what shipfit predicts.

    python -m scripts.measure_engines --engine llm-compressor --precision gptq-w4a16 --shape llama-3.1-8b --layers 3

Prints a row of tests/unit/quantize/preflight/measured.yaml, which has the shapes too, and the prediction. What a layer
takes does not depend on how many there are: a few tell of the whole model. Nothing else may run on the GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from shipfit.core.data import read_yaml
from shipfit.core.progress import NoProgress
from shipfit.core.units import GIB
from shipfit.core.worker import run_worker
from shipfit.environments import Accelerator, ensure, local_accelerator
from shipfit.hardware import CPU, gpu
from shipfit.models import load_facts
from shipfit.quantize.engines import INSIDE, Engine, engines
from shipfit.quantize.preflight.calibration import Needs, needs
from shipfit.quantize.texts import bundled_text
from shipfit.spec import Calibration
from shipfit.spec.precision import Precision

HERE = Path(__file__).parent
SHAPES = read_yaml(HERE.parents[1] / "tests/unit/quantize/preflight/measured.yaml")["shapes"]
MIB = 2**20


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", required=True, choices=engines())
    parser.add_argument("--precision", required=True, type=Precision)
    parser.add_argument("--shape", required=True, choices=SHAPES)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=2048, help="of a sample")
    parser.add_argument(
        "--offload", action="store_true", help="the host keeps what the engine can move there"
    )
    asked = parser.parse_args()
    declared = engines()[asked.engine]
    settings = {name: each.default for name, each in declared.precisions[asked.precision].settings.items()}
    recipe = {"precision": asked.precision.value, "engine": asked.engine, **settings}
    engine = Engine(asked.engine, declared, recipe, local_accelerator())
    with tempfile.TemporaryDirectory() as folder:
        taken = measure(engine, asked, Path(folder))
        predicted = predict(engine, asked, Path(folder))
    row = {name: getattr(asked, name) for name in ("engine", "precision", "samples", "tokens", "offload")}
    print(
        json.dumps(row | {"precision": asked.precision.value, "model": [asked.shape, asked.layers], **taken})
    )
    print(
        f"predicted: gpu_mib {predicted.gpu_gib * GIB / MIB:.0f}, host_mib {predicted.host_gib * GIB / MIB:.0f},"
        f" seconds {predicted.seconds:.1f}"
    )
    return 0


def measure(engine: Engine, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the model, then quantize it as a pipeline would; what that took."""
    source, output, documents = folder / "source", folder / "artifact", folder / "documents.jsonl"
    source.mkdir()
    output.mkdir()
    text = bundled_text("lcet10", NoProgress()).read_text(encoding="utf-8")
    documents.write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    run_worker(
        ensure("llm-compressor").python,
        HERE / "random_model.py",
        {"config": config_of(asked), "output": str(source)},
        doing="making the model",
        log=folder / "model.log",
        report=lambda *_: None,
    )
    request = {
        "worker": str(engine.worker),
        "recipe": engine.recipe,
        "source": str(source),
        "output": str(output),
        "documents": [{"path": str(documents), "weight": 1.0}],
        "samples": asked.samples,
        "tokens": asked.tokens,
        "seed": 0,
        "batch": engine.declared.batch,
        "offload": asked.offload,
    }
    begun = time.monotonic()
    result = run_worker(
        ensure(engine.environment).python,
        HERE / "worker.py",
        request,
        doing="quantizing",
        log=folder / "quantize.log",
        report=lambda *_: None,
        modules=INSIDE,
    )
    return {
        "gpu_mib": result["gpu_bytes"] // MIB,
        "host_mib": result["host_bytes"] // MIB,
        "seconds": round(time.monotonic() - begun, 1),
        "faults": len(result["faults"]),
    }


def predict(engine: Engine, asked: argparse.Namespace, folder: Path) -> Needs:
    """What the preflight says of it; of time, on an H100 where there is a GPU."""
    (folder / "config.json").write_text(json.dumps(config_of(asked)))
    on_gpu = engine.accelerator is Accelerator.CUDA
    calibration = Calibration(dataset=["bundled:lcet10"], samples=asked.samples, tokens=asked.tokens)
    tflops = gpu("H100-SXM5-80GB" if on_gpu else CPU).tflops["bf16"]
    return needs(load_facts(str(folder)), engine, calibration, tflops, gpu=on_gpu, offload=asked.offload)


def config_of(asked: argparse.Namespace) -> dict[str, Any]:
    """The model's config.json."""
    return {**SHAPES[asked.shape], "num_hidden_layers": asked.layers}


if __name__ == "__main__":
    sys.exit(main())
