"""What the pinned Envoy says of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core import process
from shipfit.environments import ensure
from shipfit.serve.router import Canary, RoutedModel, RouterSettings, Service, render

pytestmark = pytest.mark.integration

LOCAL = RouterSettings(8000, ["sk-key"], [RoutedModel("gemma", ["replica-0.sock", "replica-1.sock"])])
CLUSTER = RouterSettings(
    8080,
    ["sk-one", "sk-two"],
    [RoutedModel(name, Service(f"{name}.llm.svc", 8000)) for name in ("gemma", "llama")],
    address="0.0.0.0",
    admin=9901,
    metrics_port=9902,
)
CANARY = Canary(Service("gemma-canary.llm.svc", 8000), 10)
WAKING = RouterSettings(
    8080,
    ["sk-one"],
    [RoutedModel("gemma", Service("gemma.llm.svc", 8000), CANARY, 600)],
    admin=9901,
    metrics_port=9902,
)


@pytest.mark.parametrize("settings", [LOCAL, CLUSTER, WAKING])
def test_envoy_accepts_what_is_rendered(settings: RouterSettings, tmp_path: Path) -> None:
    file = tmp_path / "router.json"
    file.write_text(render(settings))
    envoy = ensure("envoy").program("envoy")
    said = process.run(
        [envoy, "--mode", "validate", "--log-level", "warning", "-c", file], doing="validating", timeout=60
    )
    assert f"configuration '{file}' OK" in said
    assert [] == [line for line in said if "deprecated" in line.lower() or "work-in-progress" in line]
