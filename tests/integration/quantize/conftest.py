"""A model so small that a whole pipeline takes seconds: for what happens around the engine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.core.process import child_environment
from shipfit.core.progress import NoProgress
from shipfit.environments import ensure
from shipfit.models import bundled
from shipfit.spec import Pipeline, load

_MAKE = """
import sys, torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig
torch.manual_seed(0)
config = Gemma3TextConfig(
    vocab_size=262144, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, head_dim=32, sliding_window=64, max_position_embeddings=512, dtype=torch.bfloat16,
)
Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(sys.argv[1])
"""

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: {name}
source: {source}
recipe:
  precision: gptq-w4a16
  group_size: 32
calibration:
  dataset: [bundled:lcet10]
  samples: {samples}
  tokens: 32
gate:
  dataset: [bundled:alice29]
  samples: 4
  tokens: 32
  generation: null # a model of two layers says nothing
  {limit}
store: {store}
"""


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Gemma 3 of two layers, with the real tokenizer."""
    folder = tmp_path_factory.mktemp("tiny-model")
    python = ensure("llm-compressor").python
    subprocess.run([python, "-c", _MAKE, folder], check=True, env=child_environment(), capture_output=True)
    for file in bundled.folder("gemma-3-270m", NoProgress()).glob("*token*"):
        (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture
def make_spec(tiny_model: Path, own_folders: Path) -> Callable[..., Path]:
    """Writes a pipeline for the tiny model, which publishes into a folder of the test."""

    def make(name: str, *, samples: int = 4, **limits: float) -> Path:
        loose = {"max_mean_kl": 9, "max_p99_kl": 99, "min_top1_agreement": 0, "max_perplexity_ratio": 99}
        store = own_folders / "bucket"
        store.mkdir(exist_ok=True)
        path = own_folders / f"{name}.yaml"
        path.write_text(
            _SPEC.format(
                name=name,
                source=tiny_model,
                samples=samples,
                limit="\n  ".join(f"{key}: {value}" for key, value in {**loose, **limits}.items()),
                store=store.as_uri(),
            )
        )
        load(path, Pipeline)
        return path

    return make
