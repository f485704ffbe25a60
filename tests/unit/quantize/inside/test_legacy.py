"""What transformers 5 writes, in the words of transformers 4."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shipfit.quantize.engines import INSIDE


@pytest.fixture(scope="module")
def legacy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shipfit_legacy", INSIDE / "shipfit_legacy.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def view(legacy: ModuleType, folder: Path, config: dict[str, Any], **tokenizer: str) -> Path:
    source, seen = folder / "source", folder / "view"
    source.mkdir()
    seen.mkdir()
    (source / "config.json").write_text(json.dumps(config))
    (source / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (source / "model.safetensors").write_bytes(b"weights")
    made: Path = legacy.legacy_view(source, seen)
    return made


@pytest.mark.parametrize(
    ("rotary", "theta", "scaling"),
    [
        ({"rope_type": "default", "rope_theta": 500000.0}, 500000.0, None),
        (
            {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0},
            500000.0,
            {"rope_type": "llama3", "factor": 8.0},
        ),
    ],
)
def test_positions_keep_their_base(
    legacy: ModuleType, tmp_path: Path, rotary: dict[str, Any], theta: float, scaling: dict[str, Any] | None
) -> None:
    seen = view(legacy, tmp_path, {"model_type": "llama", "dtype": "bfloat16", "rope_parameters": rotary})
    assert {
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "rope_theta": theta,
        "rope_scaling": scaling,
    } == json.loads((seen / "config.json").read_text())


def test_a_source_in_its_words_stays_as_it_is_and_is_not_written_to(
    legacy: ModuleType, tmp_path: Path
) -> None:
    config = {"model_type": "llama", "torch_dtype": "float16", "rope_theta": 1e6}
    seen = view(legacy, tmp_path, config, tokenizer_class="TokenizersBackend")
    assert config == json.loads((seen / "config.json").read_text())
    assert {"tokenizer_class": "PreTrainedTokenizerFast"} == json.loads(
        (seen / "tokenizer_config.json").read_text()
    )
    assert {"tokenizer_class": "TokenizersBackend"} == json.loads(
        (tmp_path / "source" / "tokenizer_config.json").read_text()
    )
    assert (seen / "model.safetensors").read_bytes() == b"weights"


def test_positions_that_differ_between_layers_are_refused(legacy: ModuleType, tmp_path: Path) -> None:
    rotary = {"full_attention": {"rope_type": "default"}, "sliding_attention": {"rope_type": "default"}}
    with pytest.raises(legacy.UnknownRotaryError, match="differ between kinds of layers"):
        view(legacy, tmp_path, {"rope_parameters": rotary})
