"""The bundled model: its tokenizer and its first words, in transformers and in vLLM."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from shipfit.core.process import child_environment
from shipfit.core.progress import NoProgress
from shipfit.environments import ensure
from shipfit.models import bundled

pytestmark = pytest.mark.integration

_IN_TRANSFORMERS = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
inputs = tokenizer("Water boils at", return_tensors="pt")
out = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0][inputs.input_ids.shape[1]:]
text = "a  b\\n\\n\\tc d\\u00e9 \\U0001f99c <b>x</b>"
print(json.dumps({
    "dtype": str(model.dtype), "ids": inputs.input_ids[0].tolist(), "continuation": tokenizer.decode(out),
    "chat_template": tokenizer.chat_template, "same": tokenizer.decode(tokenizer(text).input_ids[1:]) == text,
}))
"""

_IN_VLLM = """
import json, sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    model = LLM(sys.argv[1], max_model_len=128, max_num_seqs=2, enforce_eager=True)
    out = model.generate(["Water boils at"], SamplingParams(temperature=0, max_tokens=8))[0]
    print(json.dumps({"ids": list(out.prompt_token_ids), "text": out.outputs[0].text}))
"""


def test_it_goes_on_as_it_should_in_transformers() -> None:
    model = bundled.folder("gemma-3-270m", NoProgress())
    python = ensure("bundled").python
    done = subprocess.run(
        [python, "-c", _IN_TRANSFORMERS, model],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(),
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["ids"] == [2, 17390, 104264, 657]
    assert answer["continuation"].startswith(" 100 degrees Celsius.")
    assert answer["dtype"] == "torch.bfloat16"
    assert answer["chat_template"] is None
    assert answer["same"]


def test_it_goes_on_alike_in_vllm(tmp_path: Path) -> None:
    script = tmp_path / "generate.py"  # a file: vLLM's own processes import it again
    script.write_text(_IN_VLLM)
    offline = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [ensure("vllm-cpu").python, script, bundled.folder("gemma-3-270m", NoProgress())],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(offline),
    )
    answer = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"ids"')))
    assert answer["ids"] == [2, 17390, 104264, 657]
    assert answer["text"].startswith(" 100 degrees Celsius.")


def test_a_second_call_makes_nothing() -> None:
    first = bundled.folder("gemma-3-270m", NoProgress())
    made = (first / "config.json").stat().st_mtime_ns
    assert bundled.folder("gemma-3-270m", NoProgress()) == first
    assert (first / "config.json").stat().st_mtime_ns == made
