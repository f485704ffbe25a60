"""Work in progress of one fingerprint."""

from __future__ import annotations

from pathlib import Path

from shipfit.quantize.workspace import Workspace, weight_bytes


def test_an_artifact_goes_and_the_logs_stay(own_folders: Path) -> None:
    workspace = Workspace("test", "f" * 64)
    workspace.artifact.mkdir()
    (workspace.artifact / "model.safetensors").write_bytes(b"1234")
    (workspace.artifact / "config.json").write_bytes(b"{}")
    workspace.log("quantize").write_text("said")
    assert weight_bytes(workspace.artifact) == 4
    workspace.discard_artifact()
    assert not workspace.artifact.exists()
    assert workspace.log("quantize").read_text() == "said"
