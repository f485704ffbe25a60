"""A pipeline as a RayJob of the KubeRay operator: containers/rayjob.yaml, on the cluster that KUBECONFIG names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
import yaml
from obstore.store import S3Store

from shipfit.artifacts import open_store
from shipfit.core.progress import NoProgress
from shipfit.environments import ensure
from shipfit.quantize.cluster.joblog import JobLog
from tests.integration.kubernetes import Image, Namespace, image, namespace, needs_cluster

from .conftest import Heard, wait_until

pytestmark = [pytest.mark.integration, needs_cluster]

QUIET = NoProgress()
STORE = "s3://shipfit/fleet"


@pytest.fixture
def space() -> Iterator[Namespace]:
    with namespace() as made:
        found = made.kubectl("get", "customresourcedefinitions", "--output=name")
        if "rayjobs.ray.io" not in found:
            pytest.skip(
                "no KubeRay in the cluster: `helm install kuberay-operator kuberay-operator"
                " --repo https://ray-project.github.io/kuberay-helm/`"
            )
        yield made


@pytest.fixture
def ray_image(repository: Path) -> Image:
    return image(repository, [ensure("llm-compressor"), ensure("seaweedfs")])


def documents(path: Path, ray_image: Image) -> list[dict[str, Any]]:
    """What a file describes, with pods that run the image."""
    # By way of JSON, so that what an alias repeats can be changed at one place alone.
    found = json.loads(json.dumps(list(yaml.safe_load_all(path.read_text()))))
    for each in found:
        if each["kind"] == "Pod":
            ray_image.put_into(each["spec"])
        elif each["kind"] == "RayJob":
            cluster = each["spec"]["rayClusterSpec"]
            for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
                ray_image.put_into(group["template"]["spec"])
    return list(found)


@pytest.fixture
def bucket(space: Namespace, ray_image: Image, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """The bucket of a store in the cluster, which the settings here and the pods' Secret name."""
    described = documents(Path(__file__).with_name("store.yaml"), ray_image)
    space.apply(described)
    space.kubectl("wait", "--for=condition=Ready", "pod/store", "--timeout=60s")
    with space.forwarded("store", 8333) as port:
        (keys,) = [each["stringData"] for each in described if each["kind"] == "Secret"]
        for name, value in {**keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
            monkeypatch.setenv(name, value)
        yield S3Store("shipfit", client_options={"allow_http": True})


def run(space: Namespace, job: list[dict[str, Any]]) -> tuple[dict[str, Any], set[str]]:
    """Run the RayJob to its good end: what the command says in the end, and the pods that its stages ran on."""
    space.apply(job)
    begun = time.monotonic()
    while (status := state(space)).get("jobDeploymentStatus") not in {"Complete", "Failed"}:
        assert time.monotonic() - begun < 300, status
        time.sleep(1)
    (head,) = space.get("pods", "--selector=ray.io/node-type=head")["items"]
    reading = "cat /tmp/ray/session_latest/logs/job-driver-*.log"
    text = space.kubectl("exec", head["metadata"]["name"], "--", "sh", "-c", reading)
    heard = Heard()
    with JobLog(heard) as log:
        log.feed(text)
    assert "SUCCEEDED" == status["jobStatus"], f"{status}\n{text}"
    assert log.result
    begins = "begins on "
    return log.result, {text.removeprefix(begins) for text in heard.said if text.startswith(begins)}


def state(space: Namespace) -> dict[str, Any]:
    return dict(space.get("rayjob/requantize").get("status", {}))


def end(space: Namespace) -> None:
    """Delete the RayJob; what it started ends with it."""
    space.kubectl("delete", "rayjob/requantize")
    what = "pods,jobs,services,rayclusters"
    wait_until(lambda: space.kubectl("get", what, "--output=name").split() == ["pod/store", "service/store"])


def test_a_rayjob_publishes_and_the_next_one_finds_nothing_to_do(
    space: Namespace,
    ray_image: Image,
    bucket: S3Store,
    make_spec: Callable[..., Path],
    tiny_model: Path,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for file in tiny_model.iterdir():
        obstore.put(bucket, f"tiny-model/{file.name}", file)
    text = make_spec("tiny").read_text()
    for here, there in (
        (str(tiny_model), "s3://shipfit/tiny-model"),
        ((tmp_path / "bucket").as_uri(), STORE),
        ("bundled:lcet10", "calibration.txt"),
        ("bundled:alice29", "gate.txt"),
    ):
        assert here in text
        text = text.replace(here, there)
    texts = {
        f"{what}.txt": "\n\n".join(f"Sentence {n} of what the {what} reads." for n in range(99))
        for what in ("calibration", "gate")
    }
    pipeline = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "pipeline"},
        "data": {"pipeline.yaml": text, **texts},
    }
    space.apply([pipeline])
    job = documents(repository / "containers" / "rayjob.yaml", ray_image)

    first, places = run(space, job)
    (worker,) = space.get("pods", "--selector=ray.io/node-type=worker")["items"]
    assert {worker["metadata"]["name"]} == places
    assert not first["unchanged"]
    assert {"quantize", "publish", "promote"} <= first["seconds"].keys()
    end(space)
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))  # nothing of it has been pulled before
    with open_store(STORE, QUIET) as store:
        assert first["fingerprint"] == store.resolve("tiny", "stable")
        store.pull("tiny", "stable", QUIET)
    before = [(each["path"], each["last_modified"]) for each in bucket.list().collect()]

    again, places = run(space, job)
    assert again["unchanged"]
    assert set() == places
    end(space)
    assert before == [(each["path"], each["last_modified"]) for each in bucket.list().collect()]
