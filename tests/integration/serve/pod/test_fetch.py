"""Fetching into a pod's cache from a real SeaweedFS."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shipfit.artifacts import open_store
from shipfit.core.progress import NoProgress
from shipfit.serve.pod import fetch
from tests.integration.artifacts.crashing import draft
from tests.integration.s3 import store_in
from tests.integration.serve.envoy import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.integration

NAME = "demo"
FINGERPRINT = draft(NAME, NAME).fingerprint
LARGE = "model.safetensors"


@dataclass(frozen=True)
class Pod:
    """What a pod has: its cache, and where the store is."""

    cache: Path
    env: dict[str, str]

    @property
    def link(self) -> Path:
        return self.cache.parent / "run" / NAME

    def start(self, fingerprint: str = FINGERPRINT, **env: str) -> subprocess.Popen[str]:
        words = ["--artifact", NAME, "--fingerprint", fingerprint, "--store", "s3://shipfit"]
        argv = [sys.executable, "-m", "shipfit.serve.pod.fetch", *words, "--link", str(self.link)]
        env = {**os.environ, **self.env, **env, "SHIPFIT_CACHE_DIR": str(self.cache)}
        return subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)

    def fetch(self, fingerprint: str = FINGERPRINT, **env: str) -> tuple[int, list[str]]:
        """Its exit code and what it said."""
        with self.start(fingerprint, **env) as process:
            assert process.stderr
            said = process.stderr.read().splitlines()
        return process.returncode, said


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "demo"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / LARGE).write_bytes(os.urandom(2**20) * 192)
    return folder


@pytest.fixture(scope="module")
def store(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A SeaweedFS with one artifact; the variables that a Secret would bring to a pod."""
    folder = tmp_path_factory.mktemp("store")
    with store_in(folder) as variables:
        with open_store(None, NoProgress()) as opened:
            opened.publish(model, draft(NAME, NAME), NoProgress())
        yield variables


@pytest.fixture
def pod(tmp_path: Path, store: dict[str, str]) -> Pod:
    return Pod(tmp_path / "cache", store)


def same(folder: Path, other: Path) -> bool:
    return all((folder / path.name).read_bytes() == path.read_bytes() for path in other.iterdir())


def test_two_at_once_share_one_copy(pod: Pod, model: Path) -> None:
    with pod.start() as one, pod.start() as two:
        assert one.stderr
        assert two.stderr
        said = one.stderr.read() + two.stderr.read()
    assert (0, 0) == (one.returncode, two.returncode)
    assert 1 == said.count("waiting for another shipfit")
    assert same(pod.link, model)
    assert [FINGERPRINT] == [
        path.name for path in (pod.cache / "artifacts" / NAME).iterdir() if path.is_dir()
    ]


def test_killed_in_the_middle_it_goes_on(pod: Pod, model: Path) -> None:
    parts = pod.cache / "artifacts" / NAME / FINGERPRINT
    with pod.start() as process:
        eventually(lambda: any(8 * 2**20 < path.stat().st_size for path in parts.rglob(f"*{LARGE}*")))
        process.send_signal(signal.SIGKILL)
    assert not pod.link.exists()
    left = sum(path.stat().st_size for path in parts.rglob("*") if path.is_file())
    assert left < sum(path.stat().st_size for path in model.iterdir())
    assert 0 == pod.fetch()[0]
    assert same(pod.link, model)


def test_a_whole_copy_is_used_and_a_damaged_one_mended(pod: Pod, model: Path) -> None:
    assert 0 == pod.fetch()[0]
    code, said = pod.fetch()
    assert 0 == code
    assert not [line for line in said if "pulling" in line]

    file = pod.link.resolve() / LARGE
    with file.open("r+b") as stream:
        stream.seek(2**20)
        stream.write(b"damaged")
    code, said = pod.fetch()
    assert 0 == code
    assert [line for line in said if f"{LARGE} does not match its digest" in line]
    assert same(pod.link, model)


@pytest.mark.parametrize(
    ("fingerprint", "reason"), [("0" * 64, "has no artifact"), ("stable", "fingerprint")]
)
def test_an_artifact_that_is_not_there_is_one_line(pod: Pod, fingerprint: str, reason: str) -> None:
    code, said = pod.fetch(fingerprint)
    assert 2 == code
    assert 1 == len(said)
    assert said[0].startswith("fetch: ")
    assert reason in said[0]
    assert not pod.link.exists()


def test_a_store_out_of_reach_is_one_line_soon(pod: Pod) -> None:
    begun = time.monotonic()
    code, said = pod.fetch(AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
    assert (3, 1) == (code, len(said))
    assert said[0].startswith("fetch: s3://shipfit")
    assert time.monotonic() - begun < 30


def test_a_full_volume_is_named_with_what_is_to_come(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**pod.env, "SHIPFIT_CACHE_DIR": str(pod.cache)}.items():
        monkeypatch.setenv(name, value)
    real = shutil.disk_usage(pod.cache.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=100 * 2**20))
    words = ["--artifact", NAME, "--fingerprint", FINGERPRINT, "--store", "s3://shipfit"]
    assert 3 == fetch.main([*words, "--link", str(pod.link)])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "fetch: no space left on the disk for demo: 192 MiB are to come and 100 MiB are free"
    )


def test_a_model_of_a_bucket_is_fetched_as_it_is(pod: Pod, model: Path, tmp_path: Path) -> None:
    from obstore.store import S3Store

    bucket = S3Store("shipfit", client_options={"allow_http": True}, config=_lower(pod.env))
    for path in model.iterdir():
        bucket.put(f"plain/{path.name}", path)
    argv = [sys.executable, "-m", "shipfit.serve.pod.fetch", "--model", "s3://shipfit/plain"]
    env = {**os.environ, **pod.env, "SHIPFIT_CACHE_DIR": str(pod.cache)}
    subprocess.run([*argv, "--link", pod.link], env=env, check=True, timeout=60)
    assert same(pod.link, model)
    assert pod.cache in pod.link.resolve().parents


def _lower(env: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in env.items()}
