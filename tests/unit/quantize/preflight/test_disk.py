"""Room on disks: for all that is made and kept at once, not one after another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.models import load_facts
from shipfit.quantize.engines import engine_of
from shipfit.quantize.preflight import needs, require_disk
from shipfit.spec import Pipeline, load

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: x
source: meta-llama/Llama-3.1-8B-Instruct
{recipes}
calibration: {{dataset: [bundled:lcet10], samples: 64, tokens: 512}}
gate: {{dataset: [bundled:alice29], samples: 8, tokens: 512}}
{store}
"""

_SEVERAL = """\
recipes: [{}]
choose: least-loss-that-fits
serving: {{hardware: {{gpu: L40S}}, promise: {{context: 4096, concurrency: 1}}}}
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Asks whether recipes find room on a disk on which so many GiB are free."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"SHIPFIT_{name}_DIR", str(tmp_path))

    def ask(free: float, *precisions: str, store: str = "s3://bucket/models") -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=int(free * 2**30))
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
        several = ", ".join(f"{{precision: {each}}}" for each in precisions)
        recipes = _SEVERAL.format(several) if precisions[1:] else f"recipe: {several}"
        spec = tmp_path / "x.yaml"
        spec.write_text(_SPEC.format(recipes=recipes, store=f"store: {store}" if store else ""))
        pipeline = load(spec, Pipeline)
        facts = load_facts(pipeline.source)
        engines = [engine_of(pipeline, each) for each in pipeline.all_recipes]
        made = [(each, needs(facts, each, pipeline.calibration, 1.0, gpu=False)) for each in engines]
        require_disk(pipeline, facts, made)

    return ask


# An artifact of 4 bits takes 5.3 GiB, of 8 bits 8.5; what the gate keeps of the source 1.0 for 8 x 512 tokens.
@pytest.mark.parametrize(
    ("free", "precisions", "store", "wanted"),
    [
        (6, ["gptq-w4a16"], "s3://bucket", "what is made and what is kept of the source take about 6.3 GiB"),
        (7, ["gptq-w4a16"], "s3://bucket", None),
        (7, ["gptq-w4a16"], "", "its copy in the store take about 11.6 GiB, and 7.0 are free"),
        (12, ["gptq-w4a16"], "", None),
        (12, ["gptq-w4a16", "fp8-w8a8"], "s3://bucket", "take about 14.8 GiB"),
        # In its own format llama.cpp has the source itself besides, of 15 GiB.
        (20, ["gguf-q4_k_m"], "s3://bucket", "take about 2"),
    ],
)
def test_all_of_a_run_has_room_together(
    free: float, precisions: list[str], store: str, wanted: str | None, check: Callable[..., None]
) -> None:
    if wanted is None:
        check(free, *precisions, store=store)
        return
    with pytest.raises(EnvironmentFailure) as refused:
        check(free, *precisions, store=store)
    assert wanted in str(refused.value)
    assert "set SHIPFIT_STATE_DIR" in str(refused.value)
