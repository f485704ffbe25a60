"""The demo's pipeline as shipped: what it makes, and that it makes it once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shipfit.artifacts import open_store
from shipfit.core.process import child_environment
from shipfit.core.progress import NoProgress
from shipfit.environments import ensure
from shipfit.models import bundled
from shipfit.quantize import run_pipeline

pytestmark = pytest.mark.integration

_SCRIPT = """
import json, sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    model = LLM(sys.argv[1], max_model_len=128, max_num_seqs=2, enforce_eager=True)
    out = model.generate(["Water boils at"], SamplingParams(temperature=0, max_tokens=8))[0]
    print(json.dumps({"ids": list(out.prompt_token_ids), "text": out.outputs[0].text}))
"""


def in_vllm(model: Path, tmp_path: Path) -> dict[str, Any]:
    script = tmp_path / "generate.py"  # a file: vLLM's own processes import it again
    script.write_text(_SCRIPT)
    offline = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [ensure("vllm-cpu").python, script, model],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(offline),
    )
    answer: dict[str, Any] = json.loads(
        next(line for line in done.stdout.splitlines() if line.startswith('{"ids"'))
    )
    return answer


def test_the_source_goes_on_in_vllm_as_in_transformers(tmp_path: Path) -> None:
    answer = in_vllm(bundled.folder("gemma-3-270m", NoProgress()), tmp_path)
    assert answer["ids"] == [2, 17390, 104264, 657]
    assert answer["text"].startswith(" 100 degrees Celsius.")


def test_the_artifact_is_published_whole_and_the_second_run_does_nothing(
    demo_artifact: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    demo_artifact.use(monkeypatch)
    manifest = demo_artifact.outcome.manifest
    assert not demo_artifact.outcome.unchanged
    assert manifest.gate.passed
    assert manifest.total_bytes < manifest.source_bytes
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= {
        file.path for file in manifest.files
    }
    with open_store(None, NoProgress()) as store:
        assert store.resolve(manifest.name, "stable") == manifest.fingerprint
    again = run_pipeline(demo_artifact.pipeline, NoProgress())
    assert again.unchanged
    assert again.manifest == manifest
    assert again.seconds == {}
