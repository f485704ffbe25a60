"""The llm-compressor worker beside the engine's own example script, on the same work, in the same run.

Of each precision: wall time of both as processes, best of the rounds, as a ratio; and what both artifacts lose
against the source on held-out text. The script does what the engine's documentation shows, once with the settings
that the worker chooses (time and loss must be equal) and once with the engine's defaults (what the worker's gain).
Goal: at most 1.05 of the time at the same settings.

    python benchmarks/quantize.py [--model bundled] [--rounds 2]

By default the model is the first four layers of the bundled one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.core.progress import NoProgress
from shipfit.core.worker import run_worker
from shipfit.environments import ensure
from shipfit.models import bundled
from shipfit.quantize.engines import INSIDE, engines
from shipfit.quantize.gate.measurements import WORKERS
from shipfit.quantize.texts import bundled_text

ENGINE = "llm-compressor"
WORKER = Path(__file__).parents[1] / "pipelines" / "engines" / ENGINE / "worker.py"
TOKENS = 256

SHORTEN = """
import sys
from transformers import AutoConfig, AutoModelForCausalLM
config = AutoConfig.from_pretrained(sys.argv[1])
config.num_hidden_layers, config.layer_types = 4, config.layer_types[:4]
AutoModelForCausalLM.from_pretrained(sys.argv[1], config=config, dtype="auto").save_pretrained(sys.argv[2])
"""

# github.com/vllm-project/llm-compressor, examples/quantization_w4a16/llama3_example.py and its neighbours
EXAMPLE = """
import sys
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import load_dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
from transformers import AutoModelForCausalLM, AutoTokenizer

source, output, texts, samples, tokens = *sys.argv[1:4], *map(int, sys.argv[4:6])
LEAST_ERROR = {{"observer": "memoryless_mse", "observer_kwargs": {{"grid": 20}}}}
model = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
tokenizer = AutoTokenizer.from_pretrained(source)
dataset = load_dataset("json", data_files=texts, split=f"train[:{{samples}}]")
def tokenize(row):
    return tokenizer(row["text"], padding=False, max_length=tokens, truncation=True)
dataset = dataset.map(tokenize, remove_columns=dataset.column_names)
oneshot(
    model=model,
    dataset=dataset,
    recipe={recipe},
    max_seq_length=tokens,
    num_calibration_samples=samples,
)
model.save_pretrained(output, save_compressed=True)
tokenizer.save_pretrained(output)
"""


@dataclass(frozen=True)
class Case:
    """A precision, and the example's recipe for it.

    Attributes:
        precision: of the worker's recipe, every setting at its default.
        same: the example's recipe with what the worker chooses.
        usual: with the engine's defaults; None where those are the same.
    """

    precision: str
    same: str
    usual: str | None = None


CASES = (
    Case(
        "gptq-w4a16",
        'GPTQModifier(config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=QuantizationArgs('
        'num_bits=4, strategy="group", group_size=128, **LEAST_ERROR))}, ignore=["lm_head"])',
        'GPTQModifier(targets="Linear", scheme="W4A16", ignore=["lm_head"])',
    ),
    Case("fp8-w8a8", 'QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=["lm_head"])'),
)


@dataclass(frozen=True)
class Work:
    """What both are asked.

    Attributes:
        source: the model.
        folder: for what is made.
        texts: calibration text, a sample's worth a line; held_out: the gate's.
        samples: how many.
    """

    source: Path
    folder: Path
    texts: Path
    held_out: Path
    samples: int


def main() -> None:
    """Measure with the environments and texts that are there."""
    parser = argparse.ArgumentParser(description="The worker against the engine's example script.")
    parser.add_argument("--model", choices=["small", "bundled"], default="small")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        work = prepare(Path(name), whole=arguments.model == "bundled")
        for case in CASES:
            compare(case, work, arguments.rounds)


def prepare(folder: Path, *, whole: bool) -> Work:
    """The model and the texts."""
    source = bundled.folder("gemma-3-270m", NoProgress())
    if not whole:
        short = folder / "source"
        execute(SHORTEN, source, short)
        for file in source.glob("*token*"):
            (short / file.name).symlink_to(file)
        source = short
    texts = write_documents(folder / "calibration.jsonl", "lcet10", "plrabn12")
    held_out = write_documents(folder / "held-out.jsonl", "alice29", "asyoulik")
    return Work(source, folder, texts, held_out, samples=32 if whole else 16)


def write_documents(path: Path, *names: str) -> Path:
    """Texts in pieces that are more than a sample each, taken from them in turn."""
    size = TOKENS * 8
    texts = [bundled_text(name, NoProgress()).read_text(encoding="utf-8") for name in names]
    pieces = [text[start : start + size] for start in range(0, 40 * size, size) for text in texts]
    path.write_text("".join(json.dumps({"text": piece}) + "\n" for piece in pieces), encoding="utf-8")
    return path


def compare(case: Case, work: Work, rounds: int) -> None:
    """Print the case's figures."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, run in (("worker", quantize), ("same settings", example)):
            folder = work.folder / f"{case.precision} {name}"
            best[name] = min(best.get(name, float("inf")), run(folder, case, work))
    print(f"{case.precision}: worker {best['worker']:.1f} s, example {best['same settings']:.1f} s")
    print(f"{case.precision}: worker / example {best['worker'] / best['same settings']:.2f}")
    if case.usual:
        example(work.folder / f"{case.precision} usual settings", Case(case.precision, case.usual), work)
    for folder in sorted(work.folder.glob(f"{case.precision} *")):
        lost = measure(folder, work)
        low, high = lost["intervals"]["mean_kl"]
        mean = lost["figures"]["mean_kl"]
        print(f"{folder.name}: mean KL {mean:.4f} nats, 95% interval {low:.4f} to {high:.4f}")


def quantize(output: Path, case: Case, work: Work) -> float:
    """Seconds that the worker takes."""
    settings = engines()[ENGINE].precisions
    made = next(made for precision, made in settings.items() if precision.value == case.precision)
    recipe = {key: setting.default for key, setting in made.settings.items()}
    output.mkdir(exist_ok=True)
    request = {
        "source": str(work.source),
        "output": str(output),
        "recipe": {"precision": case.precision, "engine": ENGINE, **recipe},
        "documents": [{"path": str(work.texts), "weight": 1.0}],
        "samples": work.samples,
        "tokens": TOKENS,
        "seed": 0,
        "batch": 8,
    }
    begun = time.perf_counter()
    work_with(WORKER, request, work)
    return time.perf_counter() - begun


def example(output: Path, case: Case, work: Work) -> float:
    """Seconds that the example takes."""
    script = EXAMPLE.format(recipe=case.same)
    begun = time.perf_counter()
    execute(script, work.source, output, work.texts, work.samples, TOKENS)
    return time.perf_counter() - begun


def measure(artifact: Path, work: Work) -> dict[str, Any]:
    """What an artifact loses, measured as the gate measures it."""
    request = {
        "source": str(work.source),
        "revision": "the benchmark's",
        "artifact": str(artifact),
        "documents": [{"path": str(work.held_out), "weight": 1.0}],
        "documents_sha256": "the benchmark's",
        "samples": 16,
        "tokens": TOKENS,
        "seed": 0,
        "baselines": str(work.folder / "baselines"),
    }
    return work_with(WORKERS / "distribution.py", request, work)


def work_with(script: Path, request: Mapping[str, Any], work: Work) -> dict[str, Any]:
    """Run a worker in the engine's environment."""
    return run_worker(
        ensure(ENGINE).python,
        script,
        request,
        doing=script.stem,
        log=work.folder / "log",
        report=lambda _text, _fraction: None,
        modules=INSIDE,
        env={"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"},
    )


def execute(script: str, *arguments: object) -> None:
    """Run a script in the engine's environment."""
    subprocess.run(
        [ensure(ENGINE).python, "-c", script, *map(str, arguments)],
        check=True,
        capture_output=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"},
    )


if __name__ == "__main__":
    main()
