"""kill -9 at every request of publishing and promoting, on real SeaweedFS: nothing half is seen, the next run ends well."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, Store, running
from shipfit.artifacts.layout import uploads_prefix, work_prefix
from shipfit.artifacts.manifest import file_key
from shipfit.core.progress import NoProgress

pytestmark = pytest.mark.integration

QUIET = NoProgress()
PUBLISHING = Path(__file__).parent / "publishing.py"


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
    output = subprocess.run(
        [sys.executable, PUBLISHING, model, extra], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    places = int(output)
    assert 30 <= places
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (model, extra)
        for path in folder.iterdir()
    }
    resumed = 0
    for place in range(places + 1):  # the last one was not killed
        name = f"demo-{place}"
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


def _objects() -> running.Objects:
    found = running.read()
    assert found is not None
    return running.objects(found.ports)


def _uploads(name: str, fingerprint: str) -> set[str]:
    return {each.key for each in _objects().below(uploads_prefix(name, fingerprint), "counting")}
