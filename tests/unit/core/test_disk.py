"""Room on a disk: judged where the file will lie, even before its folder is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shipfit.core.disk import require_room
from shipfit.core.errors import EnvironmentFailure


def test_what_does_not_fit_is_refused_with_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage if path == tmp_path else None)
    folder = tmp_path / "not" / "there"
    require_room("org/model", 3 * 2**30, folder, "HF_HUB_CACHE")
    with pytest.raises(EnvironmentFailure) as refused:
        require_room("org/model", 4.5 * 2**30, folder, "HF_HUB_CACHE")
    assert (
        f"org/model takes about 4.5 GiB, and 3.0 are free in {folder};"
        " free some, or set HF_HUB_CACHE to another disk"
    ) == str(refused.value)
