"""The chart llm-requantization on the cluster that KUBECONFIG names: a Job of its CronJob, KubeRay, the store."""

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
from tests.integration.helm.charts import REQUANTIZATION, needs, run
from tests.integration.kubernetes import Image, Namespace, image, needs_cluster
from tests.waiting import eventually

pytestmark = [pytest.mark.integration, needs_cluster, needs("helm")]

QUIET = NoProgress()
STORE = "s3://shipfit/fleet"
KEYS = {
    "AWS_ENDPOINT_URL": "http://store:8333",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "only-for-tests",
}


@pytest.fixture
def ray_image(repository: Path) -> Image:
    return image(repository, [ensure("llm-compressor"), ensure("seaweedfs")])


@pytest.fixture
def bucket(
    space: Namespace, ray_image: Image, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Store]:
    """The bucket of a store in the cluster, which the settings here and the pods' Secret name."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "stringData": KEYS}
    service, pod = yaml.safe_load_all((repository / "scripts" / "cluster_demo" / "store.yaml").read_text())
    ray_image.put_into(pod["spec"])
    space.apply([secret, service, pod])
    space.kubectl("wait", "--for=condition=Ready", "pod/store", "--timeout=60s")
    with space.forwarded("store", 8333) as port:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
            monkeypatch.setenv(name, value)
        yield S3Store("shipfit", client_options={"allow_http": True})


def values(ray_image: Image, pipeline: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """The chart's values: workers from none on, small enough for any node, with pods that run the image."""
    repository, _, tag = ray_image.name.rpartition(":")
    own = {"image": {"repository": repository, "tag": tag}}
    mounts = [
        {"name": f"borrowed-{number}", "mountPath": str(path), "readOnly": True}
        for number, path in enumerate(ray_image.borrowed)
    ]

    def small(memory: str) -> dict[str, Any]:
        # "0": a node may report none.
        return {"requests": {"cpu": "100m", "memory": memory, "ephemeral-storage": "0"}}

    return {
        "pipelines": {
            "tiny": {
                "schedule": "0 0 29 2 *",
                "spec": pipeline,
                "files": texts,
                "workers": {"resources": {**small("1Gi"), "limits": {"cpu": "2", "memory": "6Gi"}}},
            }
        },
        "shipfit": {**own, "resources": small("256Mi")},
        "ray": {
            **own,
            "head": {"resources": small("1Gi")},
            "autoscaler": {"resources": small("256Mi")},
            "ttlSecondsAfterFinished": 15,
        },
        "store": {"secret": "store", "url": STORE},
        "extraEnv": [{"name": name, "value": value} for name, value in ray_image.variables if name != "HOME"],
        "extraVolumes": [{"name": each["name"], "hostPath": {"path": each["mountPath"]}} for each in mounts],
        "extraVolumeMounts": mounts,
    }


def install(space: Namespace, given: dict[str, Any]) -> None:
    words = ("upgrade", "--install", "prod", REQUANTIZATION, f"--namespace={space.name}", "--values=-")
    run("helm", *words, stdin=yaml.safe_dump(given))


def finished(space: Namespace, name: str) -> str:
    """Run the pipeline now: why the Job failed; empty where it went well."""
    space.kubectl("create", "job", name, "--from=cronjob/prod-tiny")
    begun = time.monotonic()
    while True:
        conditions = {each["type"]: each for each in space.get(f"job/{name}")["status"].get("conditions", ())}
        if {"Complete", "Failed"} & conditions.keys():
            break
        assert time.monotonic() - begun < 300, space.kubectl("logs", f"job/{name}")
        time.sleep(1)
    return str(conditions.get("Failed", {}).get("reason", ""))


def ray_pods(space: Namespace) -> dict[str, dict[str, Any]]:
    """The pods of Ray clusters, by the kind of node."""
    found = space.get("pods", "--selector=app.kubernetes.io/component=ray")["items"]
    return {each["metadata"]["labels"]["ray.io/node-type"]: each for each in found}


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def with_token(pod: dict[str, Any]) -> set[str]:
    """The containers that may speak to Kubernetes' API."""
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    return {
        each["name"]
        for each in containers(pod)
        if place in {mount["mountPath"] for mount in each["volumeMounts"]}
    }


def admit(space: Namespace, pod: dict[str, Any], **security: Any) -> None:
    """Have a pod as it ran admitted again, but for the folders that it borrowed from the node to have an image."""
    borrowed = {each["name"] for each in pod["spec"]["volumes"] if "hostPath" in each}

    def kept(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in entries if each["name"] not in borrowed]

    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    for key in {"initContainers", "containers"} & spec.keys():
        spec[key] = [{**each, "volumeMounts": kept(each["volumeMounts"])} for each in spec[key]]
    spec |= {"volumes": kept(spec["volumes"]), **security}
    again = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "again"}, "spec": spec}
    space.kubectl(
        "create", "--dry-run=server", "--warnings-as-errors", "--filename=-", stdin=json.dumps(again)
    )


def test_a_run_publishes_and_the_next_one_finds_nothing_to_do(
    space: Namespace,
    ray_image: Image,
    bucket: S3Store,
    make_spec: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for file in tiny_model.iterdir():
        obstore.put(bucket, f"tiny-model/{file.name}", file)
    pipeline = yaml.safe_load(make_spec("tiny").read_text())
    del pipeline["store"]
    pipeline["source"] = "s3://shipfit/tiny-model"
    texts = {}
    for what in ("calibration", "gate"):
        pipeline[what]["dataset"] = [f"{what}.txt"]
        texts[f"{what}.txt"] = "\n\n".join(f"Sentence {n} of what the {what} reads." for n in range(99))
    given = values(ray_image, pipeline, texts)
    install(space, given)

    assert finished(space, "first") == ""
    (rayjob,) = space.get("rayjobs")["items"]
    (decided,) = space.get("pods", "--selector=job-name=first")["items"]
    nodes = ray_pods(space)
    said = space.kubectl("logs", "job/first")
    assert f"RayJob {rayjob['metadata']['name']}: done" in said
    assert "Running entrypoint" in said  # what its command printed
    assert rayjob["metadata"]["ownerReferences"][0]["name"] == "first"
    assert nodes.keys() == {"head", "worker"}  # which was none before there was work
    assert with_token(nodes["head"]) == {"autoscaler"}
    assert with_token(nodes["worker"]) == set()
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))  # nothing of it has been pulled before
    with open_store(STORE, QUIET) as store:
        assert store.resolve("tiny", "stable") in said
        store.pull("tiny", "stable", QUIET)
    before = [(each["path"], each["last_modified"]) for each in bucket.list().collect()]

    assert finished(space, "second") == ""
    assert "unchanged: tiny@stable" in space.kubectl("logs", "job/second")
    assert before == [(each["path"], each["last_modified"]) for each in bucket.list().collect()]

    pipeline["gate"]["max_mean_kl"] = 0
    install(space, given)
    assert finished(space, "third") == "PodFailurePolicy"
    assert "shipfit: the gate failed" in space.kubectl("logs", "job/third")
    assert [rayjob["metadata"]["uid"]] == [each["metadata"]["uid"] for each in space.get("rayjobs")["items"]]
    eventually(lambda: not space.get("rayclusters")["items"] and not ray_pods(space), 120)

    space.kubectl("delete", "job/first")
    eventually(lambda: not space.get("rayjobs")["items"], 120)

    space.kubectl("label", "namespace", space.name, "pod-security.kubernetes.io/enforce=restricted")
    for pod in (decided, *nodes.values()):
        admit(space, pod)
    with pytest.raises(pytest.fail.Exception, match="violates PodSecurity"):
        admit(space, decided, securityContext={"runAsUser": 0})
