from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from shipfit.artifacts import ManifestDraft, Store, open_store
from shipfit.core.paths import cache_dir
from shipfit.core.progress import NoProgress
from tests.integration.artifacts import crashing


@pytest.fixture
def draft() -> Callable[..., ManifestDraft]:
    """Makes a draft; another ``content`` gives another fingerprint."""

    return lambda content="1", name="demo": crashing.draft(name, content)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder like that of a quantized model, 24 MiB of it in one file."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["Gemma3ForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(os.urandom(24 * 2**20))
    return folder


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Path]:
    """An embedded store and a cache of this test alone; fails the test if anything of it is left running."""
    with _folders(tmp_path):
        yield tmp_path / "data" / "store"


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An embedded store and a cache of all tests of a module, each of which uses names of its own."""
    folder = tmp_path_factory.mktemp("shared")
    with _folders(folder), open_store(None, NoProgress()) as store:
        yield store


@contextmanager
def _folders(folder: Path) -> Iterator[None]:
    environments = cache_dir("envs")
    (folder / "cache").mkdir()
    (folder / "cache" / "envs").symlink_to(environments)  # built once for all tests
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "STATE", "DATA"):
            patch.setenv(f"SHIPFIT_{name}_DIR", str(folder / name.lower()))
        yield
        deadline = time.monotonic() + 5
        while left := processes(folder):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def processes(folder: Path) -> list[str]:
    """The command lines of the keeper and SeaweedFS whose store lies below ``folder``."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if ("shipfit.artifacts.keeper" in line or "server" in line) and process.environ().get(
                "SHIPFIT_DATA_DIR", process.cwd()
            ).startswith(str(folder)):
                found.append(" ".join(line)[:100])
        except psutil.Error:
            continue
    return found
