"""Rollouts that cannot succeed: each stops, names its cause, and what served before goes on serving."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from shipfit.artifacts import open_store
from shipfit.core.progress import NoProgress
from tests.e2e.cluster.conftest import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

LITTLE = {"limits": {"memory": "700Mi"}, "requests": {"memory": "700Mi"}}


@contextmanager
def asking(service: Service) -> Iterator[None]:
    """Completions one after the other while the block runs, none of which may fail."""
    stop, answers = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            answers.append(service.answers())
            stop.wait(2)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield
    finally:
        stop.set()
        asker.join()
    assert answers
    assert all(answers)


@contextmanager
def nothing_changes(service: Service) -> Iterator[None]:
    """What serves before the block serves while it runs, and is all that there is after it."""
    before = sorted(service.ready()), service.served()
    with asking(service):
        yield
    assert before == (sorted(service.ready()), service.served())
    again = service.shipfit("deploy", service.file, "--dry-run")
    assert "nothing changes" in again.stdout


def refused(service: Service, file: Path, code: int) -> str:
    """What is said last of a file that cannot be deployed, while what served goes on serving."""
    with nothing_changes(service):
        done = service.shipfit("deploy", file, "--yes")
    assert done.returncode == code, done.stderr
    return done.stderr.splitlines()[-1]


def objects_of(service: Service, artifact: str) -> tuple[S3Store, list[str]]:
    """The bucket, and the keys of what lies there of an artifact."""
    name, _, channel = artifact.partition("@")
    with open_store(service.deployment.store, NoProgress()) as store:
        fingerprint = store.resolve(name, channel)
    bucket = S3Store("shipfit", client_options={"allow_http": True})
    return bucket, [each["path"] for each in bucket.list(f"{name}/artifacts/{fingerprint}/").collect()]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(
            {"models": {"main": {"engine": {"args": {"no-such-flag": True}}}}},
            ["vLLM does not know --no-such-flag"],
            id="a flag that vLLM does not know",
        ),
        pytest.param(
            {"engine": {"image": {"repository": "registry.invalid/vllm", "tag": "0"}}},
            ["its image does not exist", "registry.invalid/vllm"],
            id="an image that does not exist",
        ),
        pytest.param(
            {"models": {"main": {"engine": {"resources": LITTLE}}}},
            ["vllm took more memory than its limit of 700Mi"],
            id="too little memory",
        ),
    ],
)
def test_a_rollout_that_fails_leaves_what_served(
    service: Service, values: dict[str, Any], said: list[str]
) -> None:
    last = refused(service, service.changed(values=values), 1)
    assert all(word in last for word in said), last
    assert "serves as before" in last


def test_an_artifact_with_other_bytes_than_its_manifest_says_is_never_loaded(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = service.publish_again(monkeypatch, "damaged")
    bucket, files = objects_of(service, damaged)
    (weights,) = [key for key in files if key.endswith("/model.safetensors")]
    content = bytearray(bucket.get(weights).bytes())
    content[-1] ^= 1
    bucket.put(weights, bytes(content))
    last = refused(service, service.changed({"artifact": damaged}), 1)
    assert "model.safetensors" in last
    assert "serves as before" in last


def test_an_artifact_that_failed_its_gate_is_refused_before_anything_is_changed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = service.publish_again(monkeypatch, "failed")
    bucket, files = objects_of(service, failed)
    (key,) = [key for key in files if key.endswith("/manifest.json")]
    manifest = json.loads(bytes(bucket.get(key).bytes()))
    manifest["gate"]["passed"] = False
    bucket.put(key, json.dumps(manifest).encode())
    assert "its gate did not pass" in refused(service, service.changed({"artifact": failed}), 3)
