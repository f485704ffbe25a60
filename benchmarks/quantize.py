"""``shipfit quantize`` and its llm-compressor worker beside the engine's own example script, on the same work.

Of each precision: wall and processor time of worker and script as processes, best of the rounds, as ratios (on a
machine that works for others too, processor time says more); of the whole command on the same work, its quantizing
(a task of Ray, with the upload) beside the script, and its start-up, which all work has alike; and what worker and
script lose against the source on held-out text. The script does what the engine's documentation shows, once with the
settings that the worker chooses (time and loss must be equal) and once with the engine's defaults (what the worker's
gain). Then a search over recipes of 4 bits and one group size: that which loses least on one text, as
``least-loss-that-fits`` chooses, beside the engine's default on another that it was not chosen by. Goals: at most 1.05
of the time at the same settings; the search's choice loses less than the default.

    python benchmarks/quantize.py [--model bundled] [--rounds 2]

By default the model is the first four layers of the bundled one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from shipfit.core.progress import NoProgress
from shipfit.core.worker import run_worker
from shipfit.environments import ensure
from shipfit.models import bundled
from shipfit.quantize.engines import INSIDE, engines
from shipfit.quantize.gate.measurements import WORKERS
from shipfit.quantize.texts import bundled_text
from shipfit.spec.precision import Precision

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


SEARCHED: tuple[dict[str, Any], ...] = (
    {"precision": "gptq-w4a16"},
    {"precision": "gptq-w4a16", "symmetric": False},
    {"precision": "awq-w4a16"},
)
"""Recipes that are searched; what is not named is the worker's default."""
DEFAULT = "gptq-w4a16 usual settings"
"""Folder of the engine's default recipe."""


@dataclass(frozen=True)
class Work:
    """What both are asked.

    Attributes:
        source: the model.
        folder: for what is made.
        texts: calibration text, a sample's worth a line.
        held_out: the gate's.
        unseen: text that no recipe is chosen by.
        samples: how many.
    """

    source: Path
    folder: Path
    texts: Path
    held_out: Path
    unseen: Path
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
        search(work)


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
    held_out = write_documents(folder / "held-out.jsonl", "alice29")
    unseen = write_documents(folder / "unseen.jsonl", "asyoulik")
    return Work(source, folder, texts, held_out, unseen, samples=32 if whole else 16)


def write_documents(path: Path, *names: str) -> Path:
    """Texts in pieces that are more than a sample each, taken from them in turn."""
    size = TOKENS * 8
    texts = [bundled_text(name, NoProgress()).read_text(encoding="utf-8") for name in names]
    pieces = [text[start : start + size] for start in range(0, 40 * size, size) for text in texts]
    path.write_text("".join(json.dumps({"text": piece}) + "\n" for piece in pieces), encoding="utf-8")
    return path


def compare(case: Case, work: Work, rounds: int) -> None:
    """Print the case's figures."""
    best: dict[str, Taken] = {}
    commands: list[dict[str, float]] = []
    worker = partial(quantize, recipe={"precision": case.precision}, work=work)
    script = partial(example, recipe=case.same, work=work)
    for _ in range(rounds):
        for name, run in (("worker", worker), ("same settings", script)):
            taken = run(work.folder / f"{case.precision} {name}")
            before = best.get(name, taken)
            best[name] = Taken(min(before.wall, taken.wall), min(before.cpu, taken.cpu))
        commands.append(command(case.precision, work))
    ours, theirs = best["worker"], best["same settings"]
    wall, cpu = ours.wall / theirs.wall, ours.cpu / theirs.cpu
    print(f"{case.precision}: worker {ours.wall:.1f} s, example {theirs.wall:.1f} s")
    print(f"{case.precision}: worker / example {wall:.2f}, by processor time {cpu:.2f}", flush=True)
    stages = min(commands, key=lambda each: each["quantize"])
    begun = stages["command"] - sum(value for name, value in stages.items() if name != "command")
    print(
        f"{case.precision}: the command's stage / example {stages['quantize'] / theirs.wall:.2f}"
        f" ({stages['quantize']:.1f} s); its start-up {begun:.1f} s",
        flush=True,
    )
    if case.usual:
        example(work.folder / f"{case.precision} usual settings", case.usual, work)
    for folder in sorted(work.folder.glob(f"{case.precision} *")):
        print(f"{folder.name}: {said(measure(folder, work, work.held_out))}", flush=True)


def search(work: Work) -> None:
    """Print what each recipe loses, and what the one that loses least and the engine's default do on other text."""
    losses = {}
    for recipe in SEARCHED:
        label = " ".join(str(value) for value in ("searched", *recipe.values()))
        quantize(work.folder / label, recipe, work)
        lost = measure(work.folder / label, work, work.held_out)
        losses[label] = lost["figures"]["mean_kl"]
        print(f"{label}: {said(lost)}", flush=True)
    chosen = min(losses, key=lambda label: losses[label])
    ours, default = (measure(work.folder / each, work, work.unseen) for each in (chosen, DEFAULT))
    print(f"chosen, on other text: {said(ours)}; the engine's default: {said(default)}")
    print(f"search / default {ours['figures']['mean_kl'] / default['figures']['mean_kl']:.2f}")


def said(lost: Mapping[str, Any]) -> str:
    """What an artifact loses, with the interval."""
    low, high = lost["intervals"]["mean_kl"]
    return f"mean KL {lost['figures']['mean_kl']:.4f} nats, 95% interval {low:.4f} to {high:.4f}"


def quantize(output: Path, recipe: Mapping[str, Any], work: Work) -> Taken:
    """What the worker takes for a recipe."""
    made = engines()[ENGINE].precisions[Precision(recipe["precision"])]
    usual = {key: setting.default for key, setting in made.settings.items()}
    output.mkdir(exist_ok=True)
    request = {
        "source": str(work.source),
        "output": str(output),
        "recipe": {"engine": ENGINE, **usual, **recipe},
        "documents": [{"path": str(work.texts), "weight": 1.0}],
        "samples": work.samples,
        "tokens": TOKENS,
        "seed": 0,
        "batch": engines()[ENGINE].batch,
    }
    return timed(lambda: work_with(WORKER, request, work))


def command(precision: str, work: Work) -> dict[str, float]:
    """Seconds of each stage of ``shipfit quantize`` on the same work with a small gate, and of all as ``command``."""
    with tempfile.TemporaryDirectory(dir=work.folder) as name:
        folder = Path(name)
        loose = {"max_mean_kl": 9, "max_p99_kl": 99, "min_top1_agreement": 0, "max_perplexity_ratio": 99}
        spec = {
            "apiVersion": "shipfit/v1",
            "kind": "Pipeline",
            "name": "benchmark",
            "source": str(work.source),
            "recipe": {"precision": precision, "engine": ENGINE},
            "calibration": {"dataset": [str(work.texts)], "samples": work.samples, "tokens": TOKENS},
            "gate": {
                "dataset": [str(work.held_out)],
                "samples": 4,
                "tokens": 64,
                "generation": None,
                **loose,
            },
            "store": folder.as_uri(),
        }
        (folder / "benchmark.yaml").write_text(json.dumps(spec), encoding="utf-8")  # JSON is YAML
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "shipfit", "quantize", folder / "benchmark.yaml", "--json"],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "SHIPFIT_STATE_DIR": str(folder / "state")},
        )
        return {"command": time.perf_counter() - begun, **json.loads(done.stdout)["seconds"]}


def example(output: Path, recipe: str, work: Work) -> Taken:
    """What the example takes."""
    script = EXAMPLE.format(recipe=recipe)
    return timed(lambda: execute(script, work.source, output, work.texts, work.samples, TOKENS))


class Taken(NamedTuple):
    """Seconds that a process took: on the clock, and of processors."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Taken:
    """What the processes that ``work`` starts and waits for take."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    begun, used = time.perf_counter(), cpu()
    work()
    return Taken(time.perf_counter() - begun, cpu() - used)


def measure(artifact: Path, work: Work, text: Path) -> dict[str, Any]:
    """What an artifact loses on a text, measured as the gate measures it."""
    request = {
        "source": str(work.source),
        "revision": "the benchmark's",
        "artifact": str(artifact),
        "documents": [{"path": str(text), "weight": 1.0}],
        "documents_sha256": text.stem,
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
