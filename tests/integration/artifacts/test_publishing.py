"""Publishing, pulling and channels on real SeaweedFS: round trips, races between processes, bounded memory, bad keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, Store, open_store, running, weed
from shipfit.artifacts.layout import manifest_key
from shipfit.artifacts.manifest import file_key
from shipfit.artifacts.objects import Objects
from shipfit.cli.main import run
from shipfit.core.errors import EnvironmentFailure, ExitCode
from shipfit.core.progress import NoProgress
from shipfit.spec import Retention

pytestmark = pytest.mark.integration

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()
WRITER = """
import sys; from pathlib import Path
from shipfit.artifacts import ManifestDraft, open_store; from shipfit.core.progress import NoProgress
class Notes(NoProgress):
    def note(self, text): print(text)
draft = ManifestDraft.model_validate_json(sys.argv[1])
with open_store(None, Notes()) as store:
    staged = store.stage(Path(sys.argv[2]), draft.name, draft.fingerprint, Notes())
    sys.stdin.readline()
    print(store.commit(draft, staged, Notes()).upload)
"""
MEASURED = """
import resource, sys; from pathlib import Path
from shipfit.artifacts import ManifestDraft, open_store; from shipfit.core.progress import NoProgress
draft = ManifestDraft.model_validate_json(sys.argv[1])
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
with open_store(None, NoProgress()) as store:
    store.names()
    before = peak()
    store.publish(Path(sys.argv[2]), draft, NoProgress())
    published = peak()
    store.pull(draft.name, draft.fingerprint, NoProgress())
    print(before, published, peak())
"""


def _objects() -> Objects:
    found = running.read()
    assert found is not None
    return running.objects(found.ports)


def test_round_trip_corruption_and_channels(
    shared_store: Store, model: Path, draft: Draft, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = shared_store.publish(model, draft(), QUIET)
    newer = shared_store.publish(model, draft("2"), QUIET)
    for each in (manifest, newer):
        shared_store.promote("demo", "stable", each.fingerprint)
    pulled = shared_store.pull("demo", "stable", QUIET)
    assert newer == pulled.manifest
    assert (model / "model.safetensors").read_bytes() == (pulled.path / "model.safetensors").read_bytes()

    content = bytearray((model / "model.safetensors").read_bytes())
    content[12_345_678] ^= 1
    _objects().upload(file_key(newer, newer.files[1]), [bytes(content)], len(content), "spoiling")
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
    assert [newer.fingerprint] == shared_store.fingerprints("demo")


def test_of_several_processes_that_publish_one_wins_and_the_others_say_so(
    shared_store: Store, draft: Draft, tmp_path: Path
) -> None:
    wanted = draft(name="racing")
    writers = []
    for number in range(5):  # quantization is not the same bit for bit, so neither are the writers' files
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        (folder / "config.json").write_text(str(number))
        (folder / "model.safetensors").write_bytes(os.urandom(9 * 2**20))
        writers.append(
            subprocess.Popen(
                [sys.executable, "-c", WRITER, wanted.model_dump_json(), folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    while len(_staged := _uploads("racing", wanted.fingerprint)) < 2 * len(writers):
        assert all(writer.poll() is None for writer in writers)
        time.sleep(0.1)
    said = []
    for writer in writers:  # all have staged: now they commit at once
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        said.append(writer.communicate()[0].splitlines())
        assert 0 == writer.returncode
    assert 1 == len({lines[-1] for lines in said})
    notes = [lines[0] for lines in said if len(lines) > 1]
    expected = f"another writer published racing ({wanted.fingerprint[:12]}) first; its files count"
    assert [expected] * (len(writers) - 1) == notes
    manifest = shared_store.verify("racing", wanted.fingerprint, QUIET)
    assert sorted(file_key(manifest, entry) for entry in manifest.files) == _uploads(
        "racing", wanted.fingerprint
    )


def _uploads(name: str, fingerprint: str) -> list[str]:
    return sorted(each.key for each in _objects().below(f"{name}/artifacts/{fingerprint}/files", "counting"))


def test_no_promotion_is_lost(shared_store: Store, model: Path, draft: Draft) -> None:
    (model / "model.safetensors").write_bytes(b"small")
    prints = [
        shared_store.publish(model, draft(str(number), "moving"), QUIET).fingerprint for number in range(6)
    ]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda fingerprint: shared_store.promote("moving", "stable", fingerprint), prints))
    channel = shared_store.channel("moving", "stable")
    assert channel is not None
    assert sorted(prints) == sorted(move.fingerprint for move in channel.moves)


def test_memory_is_bounded_whatever_the_size(shared_store: Store, draft: Draft, tmp_path: Path) -> None:
    """1 GiB through a process that may take 400 MiB for it: 16 parts of 8 MiB in flight, and what they are made of."""
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(4):
        with (folder / f"model-{number}.safetensors").open("wb") as stream:
            stream.truncate(2**28)
    output = subprocess.run(
        [sys.executable, "-c", MEASURED, draft(name="large").model_dump_json(), folder],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    before, published, pulled = map(int, output.split())
    assert 400 > published - before
    assert 400 > pulled - before


def test_a_wrong_key_and_a_missing_bucket_are_one_line(
    shared_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = running.read()
    assert found is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{found.ports['s3']}")
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
    assert ExitCode.ENVIRONMENT == run(["artifacts", "ls", "--store", "s3://shipfit/x"])
    assert "no permission while listing the artifacts (SignatureDoesNotMatch" in capsys.readouterr().err
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret_key)
    assert ExitCode.ENVIRONMENT == run(["artifacts", "ls", "--store", "s3://nobucket/x"])
    assert "s3://nobucket/x: there is no such bucket" in capsys.readouterr().err
    assert ExitCode.YES == run(["artifacts", "ls", "--store", "s3://shipfit/x"])


def test_a_key_that_may_only_read_is_refused_before_any_work(
    own_store: Path, model: Path, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    weed.credentials(running.folder())
    file = own_store / "s3.json"
    identities = json.loads(file.read_text())["identities"]
    reader = {"accessKey": "READER", "secretKey": "secret"}
    identities.append({"name": "reader", "credentials": [reader], "actions": ["Read", "List"]})
    file.write_text(json.dumps({"identities": identities}))
    with open_store(None, QUIET) as store:
        fingerprint = store.publish(model, draft(), QUIET).fingerprint
        found = running.read()
        assert found is not None
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{found.ports['s3']}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "READER")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        with open_store("s3://shipfit", QUIET) as limited:
            assert fingerprint == limited.verify("demo", fingerprint, QUIET).fingerprint
            for refused, doing in (
                (lambda: limited.check_writable("demo"), "checking that demo may be published"),
                (lambda: limited.stage(model, "other", "b" * 64, QUIET), "uploading other"),
                (lambda: limited.promote("demo", "stable", fingerprint), "holding demo"),
            ):
                with pytest.raises(EnvironmentFailure, match=f"s3://shipfit: no permission while {doing}"):
                    refused()
        assert [] == store.channels("demo")


def test_settings_for_other_stores_do_not_reach_the_embedded_one(
    shared_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another account")
    with open_store(None, QUIET) as store:
        assert store.label == shared_store.label
        store.names()
    assert "http://127.0.0.1:9" == os.environ["AWS_ENDPOINT_URL"]


def test_everything_listens_on_loopback_with_a_key_of_its_own(shared_store: Store) -> None:
    found = running.read()
    assert found is not None
    server = found.server.process()
    assert server is not None
    listening = {each.laddr.ip for each in server.net_connections("tcp") if each.status == "LISTEN"}
    assert {"127.0.0.1"} == listening
    assert 0o600 == (running.folder() / "s3.json").stat().st_mode & 0o777
    assert 0o700 == running.folder().stat().st_mode & 0o777


def test_a_collection_gives_the_disk_back(shared_store: Store, draft: Draft, tmp_path: Path) -> None:
    folder = tmp_path / "unwanted"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(os.urandom(2**26))
    shared_store.publish(folder, draft(name="unwanted"), QUIET)
    before = _volumes()
    done = shared_store.collect("unwanted", Retention(keep=0, older_than="0h"), {}, QUIET)
    shared_store.reclaim(QUIET)
    assert [True] == [each.goes for each in done]
    assert [] == shared_store.fingerprints("unwanted")
    assert before - 2**26 >= _volumes()


def _volumes() -> int:
    return sum(path.stat().st_size for path in (running.folder() / "objects").glob("*.dat"))
