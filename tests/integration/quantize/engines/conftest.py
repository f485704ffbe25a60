"""What the tests of the engines of GPTQ's and AWQ's own formats share: a small trained Llama, text, readers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.process import child_environment
from shipfit.core.progress import NoProgress
from shipfit.core.worker import run_worker
from shipfit.environments import embedded, ensure
from shipfit.models import bundled
from shipfit.quantize.engines import INSIDE, engines
from shipfit.quantize.texts import bundled_text

_THREADS = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}

_FIRST = """
import json, sys, torch
from pathlib import Path
from shipfit_models import load_model
from transformers import AutoTokenizer
source, artifacts, prompt, text = sys.argv[1], sys.argv[2:-2], sys.argv[-2], Path(sys.argv[-1]).read_text()
tokenizer = AutoTokenizer.from_pretrained(source)
ids = torch.tensor([tokenizer(prompt)["input_ids"]])
held_out = torch.tensor([tokenizer(text)["input_ids"][:512]])
told = []
for folder in [source, *artifacts]:
    model = load_model(Path(folder))
    with torch.inference_mode():
        answer = model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1]:].tolist()
        loss = model(held_out, labels=held_out).loss.item()
    told.append({"answer": answer, "loss": loss})
print(json.dumps(told))
"""

_SERVED = """
import gc, json, sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    told = []
    for folder in sys.argv[1:-1]:
        model = LLM(folder, max_model_len=128, max_num_seqs=2, enforce_eager=True)
        out = model.generate([sys.argv[-1]], SamplingParams(temperature=0, max_tokens=6), use_tqdm=False)[0]
        told.append(list(out.outputs[0].token_ids))
        del model
        gc.collect()
    print(json.dumps({"told": told}))
"""

PROMPT = "The people of the"


def _last(command: list[Any], env: dict[str, str]) -> Any:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, env=child_environment(env)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads([line for line in done.stdout.splitlines() if line.startswith(("[", "{"))][-1])


@pytest.fixture(scope="session")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of four layers, trained for half a minute."""
    folder = tmp_path_factory.mktemp("small-llama")
    script = Path(__file__).with_name("small_llama.py")
    tokenizer = bundled.folder("gemma-3-270m", NoProgress())
    texts = [bundled_text(name, NoProgress()) for name in ("lcet10", "plrabn12")]
    subprocess.run(
        [ensure("llm-compressor").python, script, folder, tokenizer, *texts],
        check=True,
        capture_output=True,
        env=child_environment(_THREADS),
    )
    return folder


@pytest.fixture(scope="session")
def calibrate(small_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Runs an engine's worker on the small Llama; its result, with the folder as ``output`` and all progress."""
    documents = tmp_path_factory.mktemp("documents") / "lcet10.jsonl"
    text = bundled_text("lcet10", NoProgress()).read_text(encoding="utf-8")
    documents.write_text(json.dumps({"text": text}) + "\n")

    def run(engine: str, precision: str, samples: int = 8, **settings: Any) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(engine)
        output = folder / "artifact"
        output.mkdir()
        declared = engines()[engine].precisions[precision].settings
        recipe = {name: setting.default for name, setting in declared.items()} | settings
        progress: list[tuple[str, float | None]] = []
        result = run_worker(
            ensure(engine).python,
            embedded("pipelines", "engines", engine, "worker.py"),
            {
                "source": str(small_llama),
                "output": str(output),
                "recipe": {"precision": precision, "engine": engine, **recipe},
                "documents": [{"path": str(documents), "weight": 1.0}],
                "samples": samples,
                "tokens": 128,
                "seed": 0,
                "batch": engines()[engine].batch,
            },
            doing="quantizing",
            log=folder / "log",
            report=lambda text, fraction: progress.append((text, fraction)),
            modules=INSIDE,
            env=_THREADS,
        )
        return {**result, "output": output, "progress": progress}

    return run


@pytest.fixture(scope="session")
def loaded(small_llama: Path) -> Callable[..., list[dict[str, Any]]]:
    """What the gate's loader makes of the small Llama and of each artifact: first tokens of an answer, held-out loss."""

    def read(*artifacts: Path) -> list[dict[str, Any]]:
        held_out = bundled_text("alice29", NoProgress())
        command = [ensure("llm-compressor").python, "-c", _FIRST, small_llama, *artifacts, PROMPT, held_out]
        told: list[dict[str, Any]] = _last(command, {**_THREADS, "PYTHONPATH": str(INSIDE)})
        return told

    return read


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[list[int]]]:
    """The first tokens that vLLM answers with each of some artifacts."""
    script = tmp_path_factory.mktemp("served") / "served.py"  # a file: vLLM's own processes import it again
    script.write_text(_SERVED)
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}

    def ask(*artifacts: Path) -> list[list[int]]:
        command = [ensure("vllm-cpu").python, script, *artifacts, PROMPT]
        told: list[list[int]] = _last(command, {**_THREADS, **quiet})["told"]
        return told

    return ask
