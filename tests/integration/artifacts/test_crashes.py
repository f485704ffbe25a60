"""kill -9 at every request of publishing, promoting and collecting, on real SeaweedFS: nothing half, and the next one ends."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, Store, collect, retention, running
from shipfit.artifacts.layout import artifacts_prefix, uploads_prefix, work_prefix
from shipfit.artifacts.manifest import file_key
from shipfit.core.progress import NoProgress
from shipfit.spec import Retention

pytestmark = pytest.mark.integration

QUIET = NoProgress()
CRASHING = Path(__file__).parent / "crashing.py"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two shards, one of them of several parts, and a small file."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model-1.safetensors").write_bytes(os.urandom(9 * 2**20))
    (folder / "model-2.safetensors").write_bytes(os.urandom(2**20))
    return folder


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """What the gate adds at the commit."""
    folder = tmp_path / "extra"
    folder.mkdir()
    (folder / "gate.html").write_text("<p>passed</p>")
    return folder


def test_killed_at_every_place_nothing_half_is_seen_and_the_next_run_ends_well(
    shared_store: Store, model: Path, extra: Path, draft: Callable[..., ManifestDraft]
) -> None:
    places = crash("publish", model, extra)
    assert 30 <= places
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (model, extra)
        for path in folder.iterdir()
    }
    resumed = 0
    for place in range(places + 1):  # the last one was not killed
        name = f"publish-{place}"
        wanted = draft(name, name)
        # What the crash left: an artifact that is whole, or none.
        for fingerprint in shared_store.fingerprints(name):
            shared_store.verify(name, fingerprint, QUIET)
        for channel in shared_store.channels(name):
            shared_store.accepted(name, channel.fingerprint)
        arrived = _uploads(name, wanted.fingerprint)

        manifest = shared_store.publish(model, wanted, QUIET, extra)
        shared_store.promote(name, "candidate", wanted.fingerprint)

        assert digests == {entry.path: entry.sha256 for entry in manifest.files}
        shared_store.verify(name, shared_store.resolve(name, "candidate"), QUIET)
        assert [] == _objects().below(work_prefix(name, wanted.fingerprint), "counting")
        resumed += bool(arrived & {file_key(manifest, entry) for entry in manifest.files})
    assert places / 3 < resumed  # what had arrived was not sent again


def test_a_collection_killed_at_every_place_removes_nothing_named_and_the_next_one_ends(
    shared_store: Store, tmp_path: Path, draft: Callable[..., ManifestDraft], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    places = crash("collect", tmp_path)
    assert 20 <= places
    rules = Retention(keep=0, older_than="0h", rollbacks=0)
    named = {draft(content).fingerprint for content in ("promoted", "pinned")}
    cut_off = 0
    for place in range(places + 1):  # the last one was not killed
        name = f"collect-{place}"
        visible = shared_store.fingerprints(name)
        cut_off += len(visible) == 3 or bool(_guards(name))
        for fingerprint in visible:
            shared_store.verify(name, fingerprint, QUIET)
        assert named <= set(visible)
        assert shared_store.resolve(name, "stable") in named

        # At once, the next one leaves what the killed one had marked; an hour and a day later it does not.
        shared_store.collect(name, rules, {}, QUIET)
        assert named <= set(shared_store.fingerprints(name))
        with monkeypatch.context() as later:
            later.setattr(collect, "COUNTS_FOR", timedelta(0))
            later.setattr(retention, "ABANDONED", timedelta(0))
            shared_store.collect(name, rules, {}, QUIET)
        assert named == {
            each.key.split("/")[2] for each in _objects().below(artifacts_prefix(name), "counting")
        }
        assert [] == _guards(name)
    assert places / 3 < cut_off


def crash(*words: str | Path) -> int:
    """Run crashing.py; the number of places at which it killed."""
    command = [sys.executable, CRASHING, *words]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _objects() -> running.Objects:
    found = running.read()
    assert found is not None
    return running.objects(found.ports)


def _uploads(name: str, fingerprint: str) -> set[str]:
    return {each.key for each in _objects().below(uploads_prefix(name, fingerprint), "counting")}


def _guards(name: str) -> list[str]:
    """The holds and marks on artifacts of a name."""
    return [
        each.key for each in _objects().below(f"{name}/guards", "counting") if not each.key.endswith("clock")
    ]
