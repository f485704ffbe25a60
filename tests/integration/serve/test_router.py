from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core import process
from shipfit.environments import ensure
from shipfit.serve.router import RouterSettings, render

pytestmark = pytest.mark.integration


def test_envoy_accepts_what_is_rendered(tmp_path: Path) -> None:
    file = tmp_path / "router.json"
    file.write_text(render(RouterSettings(8000, "sk-key", ["replica-0.sock", "replica-1.sock"])))
    envoy = ensure("envoy").program("envoy")
    said = process.run(
        [envoy, "--mode", "validate", "--log-level", "warning", "-c", file], doing="validating", timeout=60
    )
    assert f"configuration '{file}' OK" in said
    assert not [line for line in said if "deprecated" in line.lower() or "work-in-progress" in line]
