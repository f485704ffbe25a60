"""The embedded store on real SeaweedFS: round trips, races, and its keeper's life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, open_store, running, weed
from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import cache_dir
from shipfit.core.progress import NoProgress
from tests.waiting import eventually

pytestmark = pytest.mark.integration

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()
USER = (
    "import time; from shipfit.artifacts import open_store; from shipfit.core.progress import NoProgress\n"
    "with open_store(None, NoProgress()) as store: print('uses it', flush=True); time.sleep(60)"
)


def _now() -> running.Running:
    found = running.read()
    assert found is not None
    return found


def _objects() -> Objects:
    return running.objects(_now().ports)


def _is_down() -> bool:
    found = running.read()
    return found is None or not (found.keeper.process() or found.server.process())


def test_users_share_it_and_the_last_one_ends_it_even_by_sigkill(own_store: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", USER], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert b"uses it\n" == other.stdout.readline()
        first = _now()
        with open_store(None, QUIET):
            assert first == _now()
        time.sleep(2)
        assert first.alive  # the other still uses it
        other.kill()
    eventually(
        lambda: _is_down() and not any(path.exists() for path in weed.leftovers(own_store, first.ports)), 3
    )


def test_two_that_start_at_once_get_one_store(own_store: Path) -> None:
    users = [subprocess.Popen([sys.executable, "-c", USER], stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for user in users:
            assert user.stdout is not None
            assert b"uses it\n" == user.stdout.readline()
        assert _now().alive
    finally:
        for user in users:
            with user:
                user.kill()
    eventually(_is_down, 3)


@pytest.mark.parametrize("victim", ["server", "keeper"])
def test_what_was_committed_survives_a_killed_process(
    own_store: Path, model: Path, draft: Draft, victim: str
) -> None:
    with open_store(None, QUIET) as store:
        manifest = store.publish(model, draft(), QUIET)
        store.promote("demo", "stable", manifest.fingerprint)
        before = _now()
        os.kill(getattr(before, victim).pid, signal.SIGKILL)
        eventually(lambda: not (before.keeper.process() or before.server.process()), 3)
        with pytest.raises(EnvironmentFailure, match="the embedded store: the store cannot be reached"):
            store.names()
    with open_store(None, QUIET) as store:
        assert before != _now()
        assert manifest == store.verify("demo", store.resolve("demo", "stable"), QUIET)


class _Killer(NoProgress):
    """Kills SeaweedFS once something that takes a while has begun."""

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self.done = False

    def update(self, text: str, fraction: float | None = None) -> None:
        if not self.done and text.startswith(self.doing) and (fraction or 0) > 0.3:
            self.done = True
            os.kill(_now().server.pid, signal.SIGKILL)


def test_a_store_that_dies_in_an_upload_leaves_nothing_half_visible(
    own_store: Path, model: Path, draft: Draft
) -> None:
    (model / "model.safetensors").write_bytes(os.urandom(96 * 2**20))
    killer = _Killer("uploading")
    with open_store(None, QUIET) as store, pytest.raises(EnvironmentFailure, match="while uploading demo"):
        store.publish(model, draft(), killer)
    assert killer.done
    with open_store(None, QUIET) as store:
        assert [] == store.names()
        manifest = store.publish(model, draft(), QUIET)
        store.verify("demo", manifest.fingerprint, QUIET)


def test_what_a_store_that_dies_in_a_pull_has_sent_is_not_asked_for_again(
    own_store: Path, model: Path, draft: Draft
) -> None:
    (model / "model.safetensors").write_bytes(os.urandom(96 * 2**20))
    killer = _Killer("pulling")
    with open_store(None, QUIET) as store:
        manifest = store.publish(model, draft(), QUIET)
        with pytest.raises(EnvironmentFailure, match=r"while reading model\.safetensors of demo"):
            store.pull("demo", manifest.fingerprint, killer)
    [part] = cache_dir("artifacts", "demo", manifest.fingerprint).rglob("model.safetensors")
    assert 16 * 2**20 < part.stat().st_size < 96 * 2**20
    inode = part.stat().st_ino
    with open_store(None, QUIET) as store:
        pulled = store.pull("demo", manifest.fingerprint, QUIET).path / part.name
    assert inode == pulled.stat().st_ino
    assert (model / part.name).read_bytes() == pulled.read_bytes()


def test_a_full_disk_is_one_line(own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weed, "RESERVE", 2**62)
    with (
        pytest.raises(EnvironmentFailure, match="no space left on the disk for the embedded store"),
        open_store(None, QUIET),
    ):
        pass
