"""The embedded store on real SeaweedFS: round trips, races, and its keeper's life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, open_store, running, weed
from shipfit.artifacts.layout import manifest_key, upload_prefix
from shipfit.artifacts.objects import Objects
from shipfit.cli.main import run
from shipfit.core.errors import EnvironmentFailure, ExitCode
from shipfit.core.progress import NoProgress

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


def _wait_until(true: Callable[[], bool], seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_down() -> bool:
    found = running.read()
    return found is None or not (found.keeper.process() or found.server.process())


def test_round_trip_corruption_and_channels(
    own_store: Path, model: Path, draft: Draft, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(None, QUIET) as store:
        manifest = store.publish(model, draft(), QUIET)
        newer = store.publish(model, draft("2"), QUIET)
        for each in (manifest, newer):
            store.promote("demo", "stable", each.fingerprint)
        pulled = store.pull("demo", "stable", QUIET)
        assert newer == pulled.manifest
        assert (model / "model.safetensors").read_bytes() == (pulled.path / "model.safetensors").read_bytes()

        content = bytearray((model / "model.safetensors").read_bytes())
        content[12_345_678] ^= 1
        key = f"{upload_prefix('demo', newer.fingerprint, newer.upload)}/model.safetensors"
        _objects().upload(key, [bytes(content)], len(content), "spoiling")
        (pulled.path / "model.safetensors").write_bytes(content)
        capsys.readouterr()

        # The command line, while this process uses the store too.
        assert ExitCode.ENVIRONMENT == run(["artifacts", "verify", "demo"])
        assert "is refused: model.safetensors has other content" in capsys.readouterr().err
        assert ExitCode.ENVIRONMENT == run(["artifacts", "pull", "demo"])
        assert ExitCode.YES == run(["artifacts", "rollback", "demo@stable"])
        assert ExitCode.YES == run(["artifacts", "pull", "demo"])
        assert manifest.fingerprint in capsys.readouterr().out
        assert ExitCode.BAD_INPUT == run(["artifacts", "show", "dmeo"])
        assert "did you mean demo?" in capsys.readouterr().err

        _objects().delete([manifest_key("demo", manifest.fingerprint)], "spoiling")
        assert ExitCode.ENVIRONMENT == run(["artifacts", "pull", "demo"])
        assert "manifest.json is missing" in capsys.readouterr().err
        assert [newer.fingerprint] == store.fingerprints("demo")


def test_of_sixteen_publishers_one_wins(own_store: Path, model: Path, draft: Draft, tmp_path: Path) -> None:
    (model / "model.safetensors").write_bytes(os.urandom(9 * 2**20))
    folders = []
    for number in range(16):  # quantization is not the same bit for bit, so neither are the writers' files
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        (folder / "config.json").write_text(str(number))
        (folder / "model.safetensors").write_bytes(
            (model / "model.safetensors").read_bytes() + bytes([number])
        )
        folders.append(folder)
    with open_store(None, QUIET) as store:
        with ThreadPoolExecutor(16) as pool:
            manifests = list(pool.map(lambda folder: store.publish(folder, draft(), QUIET), folders))
        assert 1 == len({manifest.upload for manifest in manifests})
        store.verify("demo", manifests[0].fingerprint, QUIET)
        assert 3 == len(_objects().below(f"demo/artifacts/{manifests[0].fingerprint}", "counting"))


def test_no_promotion_is_lost(own_store: Path, model: Path, draft: Draft) -> None:
    (model / "model.safetensors").write_bytes(b"small")
    with open_store(None, QUIET) as store:
        prints = [store.publish(model, draft(str(number)), QUIET).fingerprint for number in range(6)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda fingerprint: store.promote("demo", "stable", fingerprint), prints))
        channel = store.channel("demo", "stable")
        assert channel is not None
        assert sorted(prints) == sorted(move.fingerprint for move in channel.moves)


def test_a_wrong_key_and_a_missing_bucket_are_one_line(
    own_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(None, QUIET):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{_now().ports['s3']}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
        assert ExitCode.ENVIRONMENT == run(["artifacts", "ls", "--store", "s3://shipfit/x"])
        error = capsys.readouterr().err
        assert error.startswith(
            "shipfit: s3://shipfit/x: no permission while listing the artifacts (InvalidAccessKeyId"
        )
        assert "hush" not in error
        assert 1 == error.count("\n")

        key = weed.credentials(running.folder())
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret_key)
        assert ExitCode.ENVIRONMENT == run(["artifacts", "ls", "--store", "s3://nobucket/x"])
        assert "s3://nobucket/x: there is no such bucket" in capsys.readouterr().err
        assert ExitCode.YES == run(["artifacts", "ls", "--store", "s3://shipfit/x"])


def test_settings_for_other_stores_do_not_reach_the_embedded_one(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another account")
    with open_store(None, QUIET) as store:
        assert [] == store.names()
    assert "http://127.0.0.1:9" == os.environ["AWS_ENDPOINT_URL"]


def test_everything_listens_on_loopback_with_a_key_of_its_own(own_store: Path) -> None:
    with open_store(None, QUIET):
        server = _now().server.process()
        assert server is not None
        listening = {each.laddr.ip for each in server.net_connections("tcp") if each.status == "LISTEN"}
        assert {"127.0.0.1"} == listening
        assert 0o600 == (own_store / "s3.json").stat().st_mode & 0o777
        assert 0o700 == own_store.stat().st_mode & 0o777


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
    _wait_until(
        lambda: _is_down() and not any(path.exists() for path in weed.leftovers(own_store, first.ports))
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
    _wait_until(_is_down)


@pytest.mark.parametrize("victim", ["server", "keeper"])
def test_what_was_committed_survives_a_killed_process(
    own_store: Path, model: Path, draft: Draft, victim: str
) -> None:
    with open_store(None, QUIET) as store:
        manifest = store.publish(model, draft(), QUIET)
        store.promote("demo", "stable", manifest.fingerprint)
        before = _now()
        os.kill(getattr(before, victim).pid, signal.SIGKILL)
        _wait_until(lambda: not (before.keeper.process() or before.server.process()))
        with pytest.raises(EnvironmentFailure, match="the embedded store: the store cannot be reached"):
            store.names()
    with open_store(None, QUIET) as store:
        assert before != _now()
        assert manifest == store.verify("demo", store.resolve("demo", "stable"), QUIET)


class _Killer(NoProgress):
    """Kills SeaweedFS once an upload has begun."""

    def __init__(self) -> None:
        self.done = False

    def update(self, text: str, fraction: float | None = None) -> None:
        if not self.done and text.startswith("publishing") and (fraction or 0) > 0.3:
            self.done = True
            os.kill(_now().server.pid, signal.SIGKILL)


def test_a_store_that_dies_in_an_upload_leaves_nothing_half_visible(
    own_store: Path, model: Path, draft: Draft
) -> None:
    (model / "model.safetensors").write_bytes(os.urandom(96 * 2**20))
    killer = _Killer()
    with open_store(None, QUIET) as store, pytest.raises(EnvironmentFailure, match="while publishing demo"):
        store.publish(model, draft(), killer)
    assert killer.done
    with open_store(None, QUIET) as store:
        assert [] == store.names()
        manifest = store.publish(model, draft(), QUIET)
        store.verify("demo", manifest.fingerprint, QUIET)


def test_a_full_disk_is_one_line(own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weed, "RESERVE", 2**62)
    with (
        pytest.raises(EnvironmentFailure, match="no space left on the disk for the embedded store"),
        open_store(None, QUIET),
    ):
        pass
