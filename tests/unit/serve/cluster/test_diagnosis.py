"""Causes from pods and events as a real cluster gave them (Kubernetes 1.36): one file a way to fail."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.data import read_yaml
from shipfit.serve.cluster import diagnosis
from shipfit.serve.cluster.diagnosis import Cause, causes, ending, newest

RECORDED = Path(__file__).with_name("recorded")


def recorded(name: str) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return seen


def first(seen: dict[str, Any]) -> Cause:
    return causes(seen["objects"], seen["events"], seen["logs"])[0]


@pytest.mark.parametrize(
    ("name", "what", "advice", "verdict"),
    [
        ("bad-flag", "vLLM does not know --no-such-flag 1", "engine.args", True),
        ("cuda", "the GPU's memory does not suffice: CUDA out of memory. Tried", "plan anew", True),
        ("out-of-memory", "vllm took more memory than its limit of 64Mi", "limits.memory", True),
        ("image-missing", "its image does not exist: Back-off pulling image", "engine.image", True),
        ("image-never", 'Container image "localhost/vllm:none" is not present', "pullPolicy", True),
        ("image-name", "its image's name is none: Failed to apply default image tag", "engine.image", True),
        ("no-secret", 'secret "none" not found', "in the values", True),
        ("no-config", 'there is no configmap "none"', "in the values", True),
        ("no-claim", "there is no PersistentVolumeClaim models", "cache.claim", True),
        (
            "no-gpu",
            "no node has enough nvidia.com/gpu free: 1 Insufficient nvidia.com/gpu.",
            "--dry-run",
            True,
        ),
        ("bad-command", 'its command cannot be run: exec: "/no/such/python"', "engine.command", True),
        ("probe", "vllm failed its startup probe", "startupSeconds", True),
        ("quota", "quota small is exceeded: requested: requests.memory=2Gi", "promise less", True),
        ("strict", "the namespace does not admit its pods: violates PodSecurity", "Pod Security", True),
        ("group-flag", "vLLM does not know --no-such-flag 1", "engine.args", True),
        ("group-worker", "No package metadata was found for vllm", "kubectl logs group-worker-0-1", True),
        ("group-quota", "quota small is exceeded: requested: requests.memory=768Mi", "promise less", True),
        (
            "fetch",
            "s3://models: manifest of llama (0123456789ab): model.safetensors: sha256",
            "deploy again",
            False,
        ),
    ],
)
def test_what_a_real_cluster_says_becomes_one_cause(name: str, what: str, advice: str, verdict: bool) -> None:
    cause = first(recorded(name))
    assert what in cause.what
    assert advice in cause.advice
    assert verdict is cause.verdict
    assert cause.pod.startswith(name)
    assert "\n" not in str(cause)


@pytest.mark.parametrize("name", ["fine", "group-fine"])
def test_what_is_well_has_no_cause(name: str) -> None:
    seen = recorded(name)
    assert [] == causes(seen["objects"], seen["events"], seen["logs"])


def test_of_a_group_only_the_newest_revision_counts() -> None:
    seen = recorded("group-flag")
    assert first(seen)
    (leaders,) = (
        each
        for each in seen["objects"]
        if each["metadata"]["name"] == "group-flag" and "ownerReferences" in each["metadata"]
    )
    leaders["metadata"]["labels"]["leaderworkerset.sigs.k8s.io/template-revision-hash"] = "newer"
    assert [] == causes(seen["objects"], seen["events"], seen["logs"])


def test_a_pod_of_a_group_that_ends_well_says_nothing() -> None:
    seen = recorded("group-fine")
    for each in seen["objects"]:
        if each["kind"] == "Pod":
            each["metadata"]["deletionTimestamp"] = "2026-11-27T08:31:00Z"
            each["status"]["containerStatuses"][0] |= {
                "state": {"terminated": {"exitCode": 143}},
                "ready": False,
            }
    assert [] == causes(seen["objects"], seen["events"], seen["logs"])


def test_what_pods_that_end_will_free_is_marked() -> None:
    assert first(recorded("no-gpu")).freed
    assert first(recorded("quota")).freed
    assert not first(recorded("bad-flag")).freed


def test_a_place_may_be_found_later_and_a_wrong_flag_never_mends() -> None:
    assert first(recorded("no-gpu")).patience > 0
    assert 0 == first(recorded("bad-flag")).patience


def test_an_unknown_end_is_sure_once_it_repeats() -> None:
    seen = recorded("bad-flag")
    pod = next(each for each in seen["objects"] if each["kind"] == "Pod")
    container = pod["status"]["containerStatuses"][0]
    container["state"]["terminated"]["message"] = "something else\n"
    container["restartCount"] = 0
    assert "vllm ended with code 2: something else" in first(seen).what
    assert first(seen).patience > 0
    container["restartCount"] = 1
    assert 0 == first(seen).patience


def test_a_log_speaks_where_the_container_left_no_message() -> None:
    seen = recorded("bad-flag")
    pod = next(each for each in seen["objects"] if each["kind"] == "Pod")
    del pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
    seen["logs"] = {
        f"{pod['metadata']['name']}/vllm": ["ValueError: No available memory for the cache blocks."]
    }
    assert "leave no memory for the KV cache" in first(seen).what


def test_pods_of_the_revision_before_and_those_that_end_are_passed_over() -> None:
    seen = recorded("bad-flag")
    old = next(each for each in seen["objects"] if each["kind"] == "ReplicaSet")
    new = json.loads(json.dumps(old))
    new["metadata"] |= {"uid": "new", "name": "newer"}
    new["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "10"
    assert ["newer"] == [each["metadata"]["name"] for each in newest([*seen["objects"], new])]
    pod = next(each for each in seen["objects"] if each["kind"] == "Pod")
    pod["metadata"]["deletionTimestamp"] = "2026-11-27T04:00:00Z"
    assert [] == causes(seen["objects"], seen["events"], {})
    assert [pod] == ending(seen["objects"])


SAID = {  # by vLLM 0.32 or the libraries below it, shortened
    "To serve at least one request with the model's max seq len (131072), (40.00 GiB KV cache is needed, which is "
    "larger than the available KV cache memory (12.00 GiB).": "does not hold one request",
    "ValueError: No available memory for the cache blocks. Try increasing": "leave no memory",
    "Free memory on device cuda:0 (10.0/79.2 GiB) on startup is less than desired GPU memory utilization (0.9)": (
        "something else holds memory"
    ),
    "RuntimeError: Failed to infer device type, please set": "the container sees no GPU",
    "ImportError: libcuda.so.1: cannot open shared object file": "the container sees no GPU",
    "ValueError: Failed to find a kernel that can implement the WNA16 linear layer": "no kernel",
    "Model architectures ['NewForCausalLM'] are not supported for now. Supported": "are not supported",
    "or use the `--trust-remote-code` flag in the CLI.": "code of its own",
    "ModuleNotFoundError: No module named 'vllm'": "has no vLLM",
    "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.hpp": "cannot talk to each other",
    "api_server.py: error: argument --max-model-len: invalid value": "vLLM refuses a flag",
    "OSError: [Errno 28] No space left on device": "a volume is full",
    "OSError: [Errno 30] Read-only file system: '/home/vllm'": "may not write",
    "/bin/sh: line 1: 7 Illegal instruction (core dumped) python3": "lacks an instruction",
    "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url": "does not let it have the model",
    "Bus error (core dumped)": "/dev/shm is too small",  # noqa: S108 - a message
}


@pytest.mark.parametrize(("line", "what"), SAID.items())
def test_what_vllm_says_last_is_translated(line: str, what: str) -> None:
    seen = recorded("bad-flag")
    pod = next(each for each in seen["objects"] if each["kind"] == "Pod")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    ended["message"] = f"(EngineCore pid=9) ERROR 11-27 03:00:01 [core.py:2] {line}\nand more\n"
    assert what in first(seen).what


def test_every_rule_can_be_said() -> None:
    for rule in read_yaml(Path(diagnosis.__file__).with_suffix(".yaml")):
        groups = re.compile(rule["find"]).groups
        assert rule["says"].format(*["x"] * (groups + 1), words="x")
        assert rule["advice"]
        assert rule.keys() <= {"of", "find", "says", "advice", "verdict", "patience"}
