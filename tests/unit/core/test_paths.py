from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core import paths
from shipfit.core.errors import EnvironmentFailure


@pytest.mark.parametrize(
    ("folder", "variable", "xdg"),
    [
        (paths.cache_dir, "SHIPFIT_CACHE_DIR", "XDG_CACHE_HOME"),
        (paths.state_dir, "SHIPFIT_STATE_DIR", "XDG_STATE_HOME"),
        (paths.data_dir, "SHIPFIT_DATA_DIR", "XDG_DATA_HOME"),
    ],
)
def test_folders_obey_xdg_and_their_own_variable(folder, variable, xdg, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(xdg, str(tmp_path / "xdg"))
    assert folder("a", "b") == tmp_path / "xdg" / "shipfit" / "a" / "b"
    monkeypatch.setenv(variable, str(tmp_path / "own"))
    assert folder("a") == tmp_path / "own" / "a"
    assert (tmp_path / "own" / "a").is_dir()


def test_a_file_is_written_whole_with_its_mode_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "key"
    paths.write_atomically(target, "one")
    paths.write_atomically(target, b"two", mode=0o600)
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_folder_that_is_gone_is_one_clear_failure(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="while writing key"):
        paths.write_atomically(tmp_path / "gone" / "key", "x")
