"""Room on disks: judged where a file will lie, even before its folder is made, and together with what goes there too."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shipfit.core.disk import Wanted, require_room
from shipfit.core.errors import EnvironmentFailure


@pytest.fixture
def three_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with so much room."""
    usage = shutil.disk_usage(tmp_path)._replace(free=3 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage if path == tmp_path else None)
    return tmp_path


def test_what_does_not_fit_is_refused_with_figures(three_gib: Path) -> None:
    folder = three_gib / "not" / "there"
    require_room(Wanted("org/model", 3 * 2**30, folder, "HF_HUB_CACHE"))
    with pytest.raises(EnvironmentFailure) as refused:
        require_room(Wanted("org/model", 4.5 * 2**30, folder, "HF_HUB_CACHE"))
    assert (
        f"org/model takes about 4.5 GiB, and 3.0 are free in {folder};"
        " free some, or set HF_HUB_CACHE to another disk"
    ) == str(refused.value)


def test_what_goes_to_one_disk_needs_room_together(three_gib: Path) -> None:
    each = [Wanted(name, 1.5 * 2**30, three_gib, name.upper()) for name in ("one", "two", "three")]
    require_room(*each[:2])
    with pytest.raises(EnvironmentFailure) as refused:
        require_room(*each)
    assert (
        f"one, two and three take about 4.5 GiB, and 3.0 are free in {three_gib};"
        " free some, or set ONE, TWO or THREE to another disk"
    ) == str(refused.value)
