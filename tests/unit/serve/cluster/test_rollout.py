from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import NoProgress
from shipfit.serve.cluster import rollout
from shipfit.serve.cluster.changes import Change
from shipfit.serve.cluster.rollout import Scene, budget, keep_looking
from shipfit.serve.cluster.status import metrics
from shipfit.serve.cluster.target import Target, target_of
from shipfit.serve.cluster.workloads import by_workload, workloads
from shipfit.spec import Deployment, load

RECORDED = Path(__file__).with_name("recorded")
KUBECTL = """#!/bin/sh
left=$(cat "$0.fails")
if [ "$left" -gt 0 ]; then
  echo $((left - 1)) > "$0.fails"
  echo "Unable to connect to the server: context deadline exceeded" >&2
  exit 1
fi
echo '{"items": []}'
"""


def scene(*names: str) -> Scene:
    """What a real cluster had of several releases."""
    seen = [json.loads((RECORDED / f"{name}.json").read_text()) for name in names]
    return Scene(
        [each for one in seen for each in one["objects"]], [each for one in seen for each in one["events"]]
    )


def test_all_pods_of_the_newest_kind_must_be_available() -> None:
    assert scene("fine").complete
    assert not scene("fine", "bad-flag").complete
    assert scene("fine", "bad-flag").of({"fine"}).complete


@pytest.mark.parametrize(
    ("field", "value"),
    [("replicas", 2), ("updatedReplicas", 0), ("availableReplicas", 0), ("observedGeneration", 0)],
)
def test_a_rollout_that_goes_on_is_not_complete(field: str, value: int) -> None:
    seen = scene("fine")
    deployment = next(each for each in seen.objects if each["kind"] == "Deployment")
    deployment["status"][field] = value
    assert not seen.complete


@pytest.mark.parametrize(
    ("field", "value"),
    [("replicas", 2), ("updatedReplicas", 0), ("readyReplicas", 0), ("observedGeneration", 0)],
)
def test_all_groups_must_be_ready(field: str, value: int) -> None:
    seen = scene("group-fine")
    assert seen.complete
    next(each for each in seen.objects if each["kind"] == "LeaderWorkerSet")["status"][field] = value
    assert not seen.complete


def test_a_group_is_a_workload_with_as_many_pods_as_it_has_nodes() -> None:
    (found,) = workloads(scene("group-fine").objects)
    assert ("group-fine", "replica", 1, 2, 2, 0) == (
        found.name,
        found.component,
        found.replicas,
        found.size,
        found.pods,
        found.surge,
    )
    assert ["vllm"] == [each["name"] for each in found.pod["containers"]]


def test_of_a_change_from_one_kind_to_another_what_comes_counts() -> None:
    gone, comes = Change("remove", "Deployment", "main", []), Change("add", "LeaderWorkerSet", "main", [])
    assert {"main": comes} == by_workload([comes, gone, Change("add", "Service", "router", [])])


def test_only_what_belongs_to_a_group_is_its_own() -> None:
    both = scene("group-fine", "group-flag", "fine")
    own = both.of({"group-fine"})
    assert ["LeaderWorkerSet", "Pod", "Pod", "StatefulSet", "StatefulSet"] == sorted(
        each["kind"] for each in own.objects
    )
    assert [] == own.causes
    assert both.of({"group-flag"}).causes
    assert {"fine", "group-fine", "group-flag"} == both.generations.keys()


def test_only_what_belongs_to_a_deployment_is_its_own() -> None:
    both = scene("fine", "bad-flag")
    own = both.of({"bad-flag"})
    assert ["Deployment", "Pod", "ReplicaSet"] == sorted(each["kind"] for each in own.objects)
    assert own.causes
    assert [] == both.of({"fine"}).causes
    assert {"fine": 1, "bad-flag": 1} == both.generations


def test_a_rollout_may_take_what_its_slowest_deployment_does_one_pod_after_the_other() -> None:
    def deployment(**spec: Any) -> dict[str, Any]:
        return {"kind": "Deployment", "spec": spec}

    after = [
        deployment(progressDeadlineSeconds=900, replicas=2),
        deployment(progressDeadlineSeconds=1000),
        {"kind": "Service", "spec": {}},
    ]
    assert 900 * 2 + 60 == budget(after)
    annotations = {"shipfit/progress-seconds": "2000"}
    group = {"kind": "LeaderWorkerSet", "metadata": {"annotations": annotations}, "spec": {}}
    assert 2000 + 60 == budget([*after, group])


def test_traffic_is_summed_over_engines() -> None:
    text = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 7.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:generation_tokens_total{engine="0",model_name="m"} 1.5e+03
vllm:generation_tokens_created{engine="0",model_name="m"} 1.7e+09
"""
    assert {"running": 4, "waiting": 0, "kv_cache_used": 0.25, "generated_tokens": 1500} == metrics(text)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Of a cluster without anything, whose API fails as often as the file ``kubectl.fails`` says."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(rollout, "_POLL_S", 0.01)
    file = tmp_path / "chat.yaml"
    file.write_text(
        "apiVersion: shipfit/v1\nkind: Deployment\nname: chat\nmodel: bundled:gemma-3-270m\n"
        "promise: {context: 512, concurrency: 1}\ncluster: {namespace: llm}\n"
    )
    return target_of(load(file, Deployment))


def test_a_cluster_that_does_not_answer_for_a_moment_is_asked_again(target: Target, tmp_path: Path) -> None:
    (tmp_path / "kubectl.fails").write_text("3")
    assert Scene([], []) == keep_looking(target, NoProgress())


def test_one_that_stays_silent_is_said_to_go_on_by_itself(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubectl.fails").write_text("1000")
    monkeypatch.setattr(rollout, "_SILENT_S", 0.1)
    with pytest.raises(EnvironmentFailure, match=r"has not answered for 0 s: .*Unable to connect") as caught:
        keep_looking(target, NoProgress())
    assert "shipfit status" in str(caught.value)
