from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from shipfit.artifacts import Dataset, Engine, GateResult, ManifestDraft, Source, open_store
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import NoProgress
from shipfit.serve.planning import plan_deployment
from shipfit.serve.quality import gate_quality
from shipfit.spec import Deployment

DIGEST = "a" * 64
FINGERPRINT = hashlib.sha256(b"1").hexdigest()


def deployment(store: str | None) -> Deployment:
    return Deployment.model_validate(
        {
            "apiVersion": "shipfit/v1",
            "kind": "Deployment",
            "name": "d",
            "model": "meta-llama/Llama-3.1-8B",
            "precision": "gptq-w4a16",
            "artifact": "demo@stable",
            "store": store,
            "hardware": [{"gpu": "L40S"}],
            "promise": {"context": 8192, "concurrency": 8},
        }
    )


@pytest.fixture
def store(own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder as a store, with one artifact on the stable channel."""
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "bucket").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    url = f"file://{tmp_path}/bucket"
    draft = ManifestDraft(
        name="demo",
        fingerprint=FINGERPRINT,
        source=Source(model="meta-llama/Llama-3.1-8B", revision="r1"),
        recipe={"precision": "gptq-w4a16"},
        engine=Engine(name="llm-compressor", version="0.13.0", lock_sha256=DIGEST),
        dataset=Dataset(calibration_sha256=DIGEST, gate_sha256=DIGEST),
        gate=GateResult(passed=True, figures={"mean_kl": 0.0512, "top1_agreement": 0.912}, limits={}),
        source_bytes=1000,
    )
    with open_store(url, NoProgress()) as opened:
        opened.publish(tmp_path / "model", draft, NoProgress())
        opened.promote("demo", "stable", FINGERPRINT)
    return url


def test_what_the_gate_measured_replaces_what_is_expected(store: str) -> None:
    plan = plan_deployment(deployment(store))
    assert plan.quality is not None
    assert plan.quality.measured
    assert plan.quality.loss == "mean KL divergence 0.051 nats a token, same most likely token 91.2%"
    assert plan.quality.source == f"gate of demo, {FINGERPRINT[:12]}"


def test_an_artifact_that_was_pulled_is_read_where_it_lies(store: str) -> None:
    with open_store(store, NoProgress()) as opened:
        opened.pull("demo", "stable", NoProgress())
    assert gate_quality(deployment("s3://elsewhere/models")).measured


@pytest.mark.parametrize("url", ["s3://elsewhere/models", None])
def test_a_store_elsewhere_is_not_asked_and_never_fails_the_plan(
    url: str | None, own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentFailure, match=r"demo@stable was not pulled to this machine"):
        gate_quality(deployment(url))
    plan = plan_deployment(deployment(url))
    assert plan.quality is None or not plan.quality.measured
    assert any("the gate's figures were not read" in reason for reason in plan.reasons)
