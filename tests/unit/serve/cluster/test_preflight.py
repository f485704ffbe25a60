from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure, InputError, VerdictError
from shipfit.serve.cluster.capacity import Spare, deadlock, spare, told, unplaced
from shipfit.serve.cluster.changes import Change
from shipfit.serve.cluster.preflight import Objection, of_cluster, of_quotas, of_references, refusal
from shipfit.serve.cluster.survey import Survey
from shipfit.serve.cluster.target import Target, target_of
from shipfit.serve.cluster.workloads import Reference, Workload, references, workloads
from shipfit.spec import Deployment, load

EVERYTHING = [(["*"], ["*"], ["*"])]
GPU = "nvidia.com/gpu"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    file = tmp_path / "chat.yaml"
    file.write_text(
        "apiVersion: shipfit/v1\nkind: Deployment\nname: chat\nmodel: org/model\n"
        "promise: {context: 512, concurrency: 1}\ncluster: {namespace: llm, context: production}\n"
    )
    return target_of(load(file, Deployment))


def workload(gpus: int = 1, replicas: int = 2, surge: int = 1, size: int = 1) -> Workload:
    pod = {"containers": [{"name": "vllm", "resources": {"limits": {GPU: str(gpus)}}}]}
    return Workload("chat-main", "replica", replicas, pod, surge, size)


def machine(name: str, gpus: int) -> dict[str, Any]:
    return {
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"allocatable": {GPU: str(gpus), "pods": "9"}, "conditions": []},
    }


def running(on: str, gpus: int, uid: str = "own") -> dict[str, Any]:
    spec = {"nodeName": on, "containers": [{"name": "vllm", "resources": {"limits": {GPU: str(gpus)}}}]}
    return {"kind": "Pod", "metadata": {"uid": uid}, "spec": spec, "status": {"phase": "Running"}}


def test_a_cluster_that_has_all_is_not_objected_to(target: Target) -> None:
    found = Survey((1, 36), {"kind": "Namespace"}, [], rules=EVERYTHING)
    assert [] == list(of_cluster(found, target))


def test_what_a_cluster_lacks_is_said_at_once(target: Target) -> None:
    rules = [(["get", "list"], [""], ["*"]), (["create"], ["apps"], ["deployments"])]
    said = list(of_cluster(Survey((1, 29), None, [], rules=rules), target))
    assert ["the cluster is Kubernetes 1.29, older than 1.30", "there is no namespace llm"] == [
        each.what for each in said[:2]
    ]
    assert "kubectl --context production create namespace llm" == said[1].advice
    assert "create/patch/delete secrets" in said[2].what
    assert "get/list/patch/delete deployments" in said[2].what
    assert "pods" not in said[2].what


def test_names_that_lead_nowhere_and_missing_keys() -> None:
    wanted = [
        Reference("PersistentVolumeClaim", "models"),
        Reference("Secret", "keys", ("api-key",)),
        Reference("Secret", "s3", ("AWS_ACCESS_KEY_ID",)),
    ]
    there = [
        {"kind": "Secret", "metadata": {"name": "keys"}, "data": {"key": "x"}},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "status": {"phase": "Lost"}},
    ]
    assert [
        "PersistentVolumeClaim models has lost its volume",
        "Secret keys has no key api-key, but key",
        "there is no Secret s3",
    ] == [each.what for each in of_references(wanted, there)]
    assert [] == list(of_references(wanted, None))  # who may not look, is not told


def test_what_pods_refer_to_is_found_wherever_it_stands() -> None:
    pod = {
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "own",
        "initContainers": [{"name": "fetch", "envFrom": [{"secretRef": {"name": "s3"}}]}],
        "containers": [
            {
                "name": "vllm",
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
                    {
                        "name": "B",
                        "valueFrom": {"secretKeyRef": {"name": "may", "key": "k", "optional": True}},
                    },
                    {"name": "C", "value": "plain"},
                ],
            }
        ],
        "volumes": [
            {"name": "c", "persistentVolumeClaim": {"claimName": "models"}},
            {"name": "k", "secret": {"secretName": "keys", "items": [{"key": "api-key", "path": "x"}]}},
            {"name": "s", "configMap": {"name": "settings"}},
        ],
    }
    metadata = {"labels": {"app.kubernetes.io/component": "replica"}}
    documents = [
        {
            "kind": "Deployment",
            "metadata": {"name": "main"},
            "spec": {"replicas": 2, "template": {"metadata": metadata, "spec": pod}},
        },
        {"kind": "ServiceAccount", "metadata": {"name": "own"}},
        {"kind": "ConfigMap", "metadata": {"name": "settings"}},
    ]
    assert [
        Reference("PersistentVolumeClaim", "models"),
        Reference("Secret", "hub", ("token",)),
        Reference("Secret", "keys", ("api-key",)),
        Reference("Secret", "registry"),
        Reference("Secret", "s3"),
    ] == references(documents)
    assert [("main", "replica", 2, 1)] == [
        (each.name, each.component, each.replicas, each.surge) for each in workloads(documents)
    ]


def test_too_little_room_is_said_with_figures_and_places() -> None:
    (said,) = unplaced([workload(gpus=2, replicas=3)], [machine("a", 2), machine("b", 1)], set())
    assert "verdict" == said.kind
    assert (
        "2 of 3 pods of chat-main find no room for 2 nvidia.com/gpu:"
        " a, with 1 of them, has 0 nvidia.com/gpu free; b has 1 nvidia.com/gpu free" == said.what
    )


def test_a_replica_that_spans_nodes_needs_room_for_each_of_its_pods() -> None:
    across = workload(gpus=8, replicas=2, size=2)
    machines = [machine(name, 8) for name in "abc"]
    (said,) = unplaced([across], machines, set())
    assert said.what.startswith(
        "1 of 4 pods of chat-main, 2 a replica, find no room for 8 nvidia.com/gpu: a, with"
    )
    machines += [machine("d", 8), machine("e", 8)]
    assert [] == unplaced([across], machines, set())
    assert "" == spare(across, [across], machines, set()).node  # one node is room for half a replica
    machines += [machine("f", 8)]
    assert "e, f" == spare(across, [across], machines, set()).node


def test_own_pods_are_counted_as_gone() -> None:
    items = [machine("a", 2), running("a", 2)]
    assert unplaced([workload()], items, set())
    assert [] == unplaced([workload()], items, {"own"})


@pytest.mark.parametrize(
    ("gpus", "own", "node"),
    [(3, [], "a"), (2, [], ""), (3, ["own"], "a"), (2, ["own"], "")],
)
def test_an_update_surges_where_one_more_has_room(gpus: int, own: list[str], node: str) -> None:
    items = [machine("a", gpus), *(running("a", 2, uid) for uid in own)]
    found = spare(workload(), [workload()], items, set(own))
    assert node == found.node
    if not node:
        assert "a has 0 nvidia.com/gpu free" in found.why_not


def test_an_old_release_that_holds_more_leaves_no_spare_place() -> None:
    items = [machine("a", 4), running("a", 4)]
    assert "" == spare(workload(gpus=1), [workload(gpus=1)], items, {"own"}).node


def test_a_full_quota_leaves_no_spare_place() -> None:
    only = workload()
    quota = {"metadata": {"name": "team"}, "status": {"hard": {"pods": "2"}, "used": {"pods": "2"}}}
    items = [machine("a", 4), running("a", 1, "own"), running("a", 1, "other")]
    found = spare(only, [only], items, {"own", "other"}, [quota])
    assert Spare("", "quota team allows 2 pods: others use 0 pods, and 3 pods are needed") == found


def test_how_pods_are_replaced_is_told_with_what_serves_meanwhile() -> None:
    change = Change("change", "Deployment", "chat-main", [], restarts=True)
    surge, full = Spare("a"), Spare("", "a has 0 nvidia.com/gpu free")
    assert "no restart" in told(workload(), surge, None)
    assert "2 replicas restart: a new one starts before an old one ends (room on a)" in told(
        workload(), surge, change
    )
    in_place = told(workload(surge=0), full, change)
    assert "in place" in in_place
    assert (
        "since there is no room for one more (a has 0 nvidia.com/gpu free); 1 of 2 serve meanwhile"
        in in_place
    )
    assert "nothing serves meanwhile" in told(workload(replicas=1, surge=0), full, change)
    stuck = deadlock(workload(), full, change)
    assert stuck
    assert "set its rollout to replace in the values" == stuck.advice
    assert deadlock(workload(), surge, change) is deadlock(workload(surge=0), full, change) is None


def test_quotas_count_what_others_use_and_what_is_needed() -> None:
    quota = {
        "metadata": {"name": "team"},
        "status": {
            "hard": {f"requests.{GPU}": "4", "pods": "10", "limits.memory": "1Gi"},
            "used": {f"requests.{GPU}": "3", "pods": "3"},
        },
    }
    (said,) = of_quotas([quota], [workload(gpus=1)], [])
    assert (
        "quota team allows 4 nvidia.com/gpu: others use 3 nvidia.com/gpu, and 2 nvidia.com/gpu are needed"
        == said.what
    )
    assert f"raise its requests.{GPU}" == said.advice
    assert [] == list(of_quotas([quota], [workload(gpus=1)], [running("a", 2)]))


def test_own_pods_that_have_ended_take_nothing_and_are_not_counted(target: Target) -> None:
    metadata = {"namespace": "llm", "labels": {"app.kubernetes.io/instance": "chat"}}
    serving = running("a", 1) | {"metadata": metadata}
    of_helm_test = serving | {"status": {"phase": "Succeeded"}}
    found = Survey((1, 36), {"kind": "Namespace"}, [machine("a", 1), serving, of_helm_test])
    assert [serving] == found.own_pods(target)


def test_one_error_stands_for_all_objections() -> None:
    room, file, server = (
        Objection("no room", "add nodes", "verdict"),
        Objection("there is no Secret keys", "make it", "input"),
        Objection("too old", "update it"),
    )
    assert "chat: there is no Secret keys (and 2 more, above); make it" == str(
        refusal([room, file, server], "chat")
    )
    assert isinstance(refusal([room, file], "chat"), InputError)
    assert isinstance(refusal([room], "chat"), VerdictError)
    assert isinstance(refusal([server], "chat"), EnvironmentFailure)
