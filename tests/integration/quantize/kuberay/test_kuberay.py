"""A pipeline as a RayJob of KubeRay, in the image that containers/build makes, on whatever cluster KUBECONFIG names."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shipfit.artifacts import open_store
from shipfit.artifacts.address import objects_at
from shipfit.core import process
from shipfit.core.progress import NoProgress

HERE = Path(__file__).parent
IMAGE = os.environ.get("SHIPFIT_TEST_RAY_IMAGE")
_ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}
FIRST, SECOND = ("A sentence to calibrate on, number", "Another text, to measure with, line")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        IMAGE is None or "KUBECONFIG" not in os.environ or shutil.which("kubectl") is None,
        reason="no image or no cluster: `containers/build NAME --engines 'llm-compressor seaweedfs'` makes the image;"
        " give it to a cluster with KubeRay that KUBECONFIG names (such as by `kind load docker-image NAME`), and set"
        " SHIPFIT_TEST_RAY_IMAGE=NAME",
    ),
]


def kubectl(*words: str) -> list[str]:
    return process.run(["kubectl", *words], doing=f"kubectl {words[0]}", timeout=300)


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[str]:
    """A namespace with a store and the pipeline in it."""
    name = f"shipfit-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    try:
        for part, text in (("calibration", FIRST), ("gate", SECOND)):
            rows = [json.dumps({"text": f"{text} {number}."}) for number in range(99)]
            (tmp_path / f"{part}.jsonl").write_text("\n".join(rows))
        files = [HERE / "tiny.yaml", tmp_path / "calibration.jsonl", tmp_path / "gate.jsonl"]
        apply(name, tmp_path, "store.yaml")
        kubectl(
            "create", "configmap", "pipeline", "--namespace", name, *(f"--from-file={file}" for file in files)
        )
        kubectl("wait", "--namespace", name, "--for=condition=Ready", "pod/store", "--timeout=120s")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def apply(namespace: str, folder: Path, name: str) -> None:
    (folder / name).write_text((HERE / name).read_text().replace("${IMAGE}", IMAGE or ""))
    kubectl("apply", "--namespace", namespace, "--filename", str(folder / name))


@contextmanager
def store_reached(namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store of the namespace, reached from here by the settings of the environment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = ["kubectl", "port-forward", "--namespace", namespace, "service/store", f"{port}:8333"]
    forward = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        settings = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "only-for-this-test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        wait_for_port(port)
        yield
    finally:
        forward.terminate()
        forward.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return


def upload(model: Path) -> None:
    import obstore
    from obstore.store import S3Store

    for bucket in ("models", "artifacts"):
        make_bucket(bucket)
    store = S3Store("models", prefix="tiny", client_options={"allow_http": True})
    for file in model.iterdir():
        obstore.put(store, file.name, file.read_bytes())


def make_bucket(name: str) -> None:
    """SeaweedFS makes a bucket when the first object is put into it."""
    objects_at(f"s3://{name}").create("first", b"", "making a bucket")


def job(namespace: str, field: str) -> str:
    out = kubectl(
        "get", "rayjob", "requantize", "--namespace", namespace, f"--output=jsonpath={{.status.{field}}}"
    )
    return out[-1] if out else ""


def test_a_rayjob_publishes_what_is_pulled_here(
    namespace: str, tiny_model: Path, own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_reached(namespace, monkeypatch):
        upload(tiny_model)
        apply(namespace, tmp_path, "rayjob.yaml")
        deadline = time.monotonic() + 600
        while job(namespace, "jobStatus") not in _ENDED and time.monotonic() < deadline:
            time.sleep(2)
        assert "SUCCEEDED" == job(namespace, "jobStatus"), job(namespace, "message")
        with open_store("s3://artifacts/fleet", NoProgress()) as store:
            pulled = store.pull("tiny", "stable", NoProgress())
        assert "gptq-w4a16" == pulled.manifest.recipe["precision"]
        assert (pulled.path / "model.safetensors").exists()
