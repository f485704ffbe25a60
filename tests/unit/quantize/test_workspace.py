"""Work in progress: what is whole is kept, what is not is made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.quantize.workspace import Workspace, weight_bytes


@pytest.fixture
def workspace(own_folders: Path) -> Workspace:
    return Workspace("test", "f" * 64)


def test_a_stage_is_finished_once_its_result_is_recorded(workspace: Workspace) -> None:
    assert workspace.finished("gate") is None
    workspace.finish("gate", {"mean_kl": 0.1})
    assert workspace.finished("gate") == {"mean_kl": 0.1}


def test_a_record_that_is_cut_off_counts_for_nothing(workspace: Workspace) -> None:
    (workspace.folder / "gate.json").write_text('{"mean_kl"')
    assert workspace.finished("gate") is None


def test_an_artifact_is_there_when_it_is_whole(workspace: Workspace) -> None:
    unfinished = workspace.begin_artifact()
    (unfinished / "model.safetensors").write_bytes(b"1234")
    assert not workspace.artifact.exists()
    workspace.keep_artifact(unfinished)
    assert weight_bytes(workspace.artifact) == 4


def test_a_new_artifact_voids_the_figures_of_the_old_one(workspace: Workspace) -> None:
    (workspace.begin_artifact() / "old").write_bytes(b"")
    workspace.finish("quantize", {})
    workspace.finish("gate", {})
    assert list(workspace.begin_artifact().iterdir()) == []
    assert workspace.finished("quantize") is None
    assert workspace.finished("gate") is None
