from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.artifacts import Dataset, Engine, GateResult, ManifestDraft, Source, Store
from shipfit.artifacts.address import objects_at
from shipfit.artifacts.objects import Objects, in_memory

DIGEST = "a" * 64


@pytest.fixture
def draft() -> Callable[..., ManifestDraft]:
    """Makes a draft; another ``content`` gives another fingerprint."""

    def make(name: str = "demo", content: str = "1", *, passed: bool = True) -> ManifestDraft:
        return ManifestDraft(
            name=name,
            fingerprint=hashlib.sha256(content.encode()).hexdigest(),
            source=Source(model="bundled:gemma-3-270m", revision="r1"),
            recipe={"precision": "gptq-w4a16", "group_size": 128},
            engine=Engine(name="llm-compressor", version="0.13.0", lock_sha256=DIGEST),
            dataset=Dataset(calibration_sha256=DIGEST, gate_sha256=DIGEST),
            gate=GateResult(passed=passed, figures={"mean_kl": 0.05}, limits={"max_mean_kl": 0.1}),
            source_bytes=1000,
        )

    return make


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder like that of a quantized model: small files, one of several parts, one in a folder, one hidden."""
    folder = tmp_path / "model"
    (folder / "extra").mkdir(parents=True)
    (folder / "config.json").write_text('{"architectures": ["Gemma3ForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40_000)
    (folder / "extra" / "empty.txt").touch()
    (folder / ".gitattributes").write_text("hidden")
    return folder


@pytest.fixture(params=["memory", "folder"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty store, of two kinds."""
    if request.param == "memory":
        return in_memory()
    (tmp_path / "bucket").mkdir()
    return objects_at(f"file://{tmp_path}/bucket")


@pytest.fixture
def store(objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The same as a Store, with a cache of its own."""
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))
    return Store(objects)
