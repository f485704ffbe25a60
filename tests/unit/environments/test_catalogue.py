from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.environments import declaration, declarations, pinned_version
from shipfit.environments.catalogue import FROM_SOURCE, HOOK, Declaration

LOCKS = [
    lock
    for each in declarations().values()
    for lock in (*sorted(each.folder.glob("c*.lock")), *each.folder.glob(FROM_SOURCE))
]


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
    assert f"ray[default]=={pinned_version('ray')}" in project["optional-dependencies"]["ray"]
    for lock in LOCKS:
        installed = dict(re.findall(r"^([a-z0-9._-]+)==([^ \\;]+)", lock.read_text(), flags=re.MULTILINE))
        for package, version in installed.items():
            try:
                pinned = pinned_version(package)
            except KeyError:
                continue
            assert pinned == version.partition("+")[0], (lock, package)


def test_what_is_built_here_is_locked_apart(repository: Path) -> None:
    """A lock that held it too would have uv take a wheel that was built for another PyTorch."""
    for archives in repository.glob(f"pipelines/engines/*/{FROM_SOURCE}"):
        built = re.findall(r"^([a-z0-9._-]+)==", archives.read_text(), flags=re.MULTILINE)
        assert sorted(archives.with_suffix(".in").read_text().split()) == sorted(built)
        for lock in archives.parent.glob("c*.lock"):
            installed = re.findall(r"^([a-z0-9._-]+)==", lock.read_text(), flags=re.MULTILINE)
            assert set(installed).isdisjoint(built)
            assert "setuptools" in installed  # what builds it


def test_all_that_determines_an_environment_is_named_the_lock_first(tmp_path: Path) -> None:
    for name in ("cpu.lock", "cuda.lock", HOOK, FROM_SOURCE, "sources.lock", "requirements.in"):
        (tmp_path / name).touch()
    made_from = Declaration("one", tmp_path).made_from("cuda")
    assert ["cuda.lock", FROM_SOURCE, "sources.lock", HOOK] == [path.name for path in made_from]
