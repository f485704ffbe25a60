"""Deploying to a real cluster with simulated GPU nodes: pods are scheduled for real, and nothing runs in them.

So everything up to readiness is tried here; a completion needs a node that runs containers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.artifacts import open_store
from shipfit.core.errors import ExitCode, InputError, ShipfitError, VerdictError
from shipfit.core.progress import NoProgress
from shipfit.serve.cluster.changes import documents
from shipfit.serve.cluster.deploy import roll_out, take_down
from shipfit.serve.cluster.propose import Proposal, propose
from shipfit.serve.cluster.rollback import propose_return, roll_back
from shipfit.serve.cluster.status import status
from shipfit.serve.cluster.target import target_of
from shipfit.spec import Deployment, Retention, load
from tests.integration.kubernetes import needs_cluster
from tests.integration.serve.cluster.conftest import A100, Publish, Site, kubectl

pytestmark = [pytest.mark.integration, needs_cluster]

QUIET = NoProgress()
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
FOUR_BITS = {"model": LLAMA, "artifact": "llama-4bit@stable", "hardware": [{"gpu": "A100-SXM4-80GB"}]}
NOTHING_NAMES_IT = Retention(keep=0, older_than="0h", rollbacks=0)


def deployed(deployment: Deployment) -> Proposal:
    proposal = propose(deployment, QUIET)
    roll_out(proposal, QUIET)
    return proposal


def test_70b_at_4_bits_lands_on_one_a100_is_updated_in_place_and_leaves_nothing(
    site: Site, publish: Publish, pinned: Callable[[str], set[str]]
) -> None:
    first = publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    second = publish("llama-4bit", LLAMA, "gptq-w4a16", "two", "candidate")
    site.node("a100", A100, gpu=1)
    deployment = site.deployment(**FOUR_BITS)

    proposal = deployed(deployment)
    assert ["a100"] == site.places()
    (pod,) = site.pods()
    vllm = next(each for each in pod["spec"]["containers"] if each["name"] == "vllm")
    assert "1" == vllm["resources"]["limits"]["nvidia.com/gpu"]
    words = " ".join(vllm["args"])
    assert "--max-model-len=8192" in words or "--max-model-len 8192" in words
    assert {first} == pinned("llama-4bit")

    again = propose(deployment, QUIET)
    assert again.unchanged
    assert [] == again.objections == proposal.objections

    # The one GPU is taken, so a successor waits for its predecessor's end; and the proposal says so.
    newer = site.deployment(**FOUR_BITS | {"artifact": "llama-4bit@candidate"})
    proposal = propose(newer, QUIET)
    told = next(line for line in proposal.pods if line.startswith("chat-main"))
    assert "in place, one ends before its successor starts, since there is no room for one more" in told
    assert "nothing serves meanwhile" in told
    assert ["spec.template.spec.initContainers[fetch].args[3]"] == [
        field.partition(":")[0] for each in proposal.changes for field in each.fields
    ]
    roll_out(proposal, QUIET)
    assert [pod["metadata"]["uid"]] != [each["metadata"]["uid"] for each in site.pods()]

    # What a release serves, and what it would go back to, is never removed from the store.
    with open_store(site.store, QUIET) as store:
        decisions = store.collect("llama-4bit", NOTHING_NAMES_IT, {}, QUIET, dry_run=True)
    assert [] == [each.fingerprint for each in decisions if each.goes]
    assert {first, second} == pinned("llama-4bit")

    seen = status(target_of(newer))
    assert ("deployed", []) == (seen.revisions[-1].status, seen.drift)
    assert second == seen.record["artifact"]["fingerprint"]
    assert {"mean_kl": 0.05} == seen.record["artifact"]["gate"]
    assert ["ready", "ready"] == [each.state for each in seen.pods]
    site.namespace.kubectl("scale", "deployment/chat-router", "--replicas=0")
    drift = status(target_of(deployment)).drift
    assert "Deployment chat-router, cluster -> release: spec.replicas: 0 -> 1" in drift
    assert any("has changed since it was deployed" in line for line in drift)
    assert any(f"llama-4bit@stable is {first[:12]} by now" in line for line in drift)
    site.namespace.kubectl("scale", "deployment/chat-router", "--replicas=1")

    back = propose_return(newer, None)
    assert 1 == back.to
    assert 3 == roll_back(back, QUIET)
    assert first == status(target_of(deployment)).record["artifact"]["fingerprint"]
    assert {first} == pinned("llama-4bit")

    # As `helm test` does, and leaves it.
    site.namespace.kubectl("create", "--filename=-", stdin=helm(site, "get", "hooks"))
    assert take_down(deployment, QUIET)
    assert not take_down(deployment, QUIET)
    left = site.namespace.get("all,configmaps,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets")
    assert {"kube-root-ca.crt", "default"} >= {each["metadata"]["name"] for each in left["items"]}
    assert set() == pinned("llama-4bit")


def test_16_bits_take_two_gpus_of_one_node_and_a_spare_one_is_used(site: Site, publish: Publish) -> None:
    publish("llama-16bit", LLAMA, "bf16", "one")
    site.node("one-gpu", A100, gpu=1)
    site.node("another", A100, gpu=1)
    site.node("four-gpus", A100, gpu=4)
    deployment = site.deployment(
        model=LLAMA,
        artifact="llama-16bit",
        precision="bf16",
        promise={"context": 4096, "concurrency": 2},
        hardware=[{"gpu": "A100-SXM4-80GB", "count": 2}],
    )
    proposal = deployed(deployment)
    assert (2, 1) == (proposal.plan.gpus, proposal.plan.replicas)
    assert ["four-gpus"] == site.places()
    told = next(line for line in proposal.pods if line.startswith("chat-main"))
    assert f"a new one starts before an old one ends (room on {site.namespace.name}-four-gpus)" in told

    # A quota that the release itself fills is no hindrance; but it leaves no spare place.
    site.quota("exact", "pods", "2")
    proposal = propose(deployment, QUIET)
    assert [] == proposal.objections
    assert [
        ("chat-main", "spec.strategy.rollingUpdate.maxSurge: 1 -> 0"),
        ("chat-main", "spec.strategy.rollingUpdate.maxUnavailable: 0 -> 1"),
    ] == [(each.name, field) for each in proposal.changes for field in each.fields]


def test_a_mig_slice_is_asked_for_by_its_own_name(site: Site, publish: Publish) -> None:
    model = "meta-llama/Llama-3.1-8B-Instruct"
    publish("llama-8b", model, "bf16", "one")
    site.node("mig", A100, mig_3g_40gb=2)
    site.node("whole", A100, gpu=1)
    deployed(
        site.deployment(
            model=model, artifact="llama-8b", hardware=[{"gpu": "A100-SXM4-80GB:3g.40gb", "count": 1}]
        )
    )
    assert ["mig"] == site.places()
    (pod,) = site.pods()
    assert "1" == pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/mig-3g.40gb"]


def test_of_a_mixed_fleet_the_planned_kind_is_taken(site: Site, publish: Publish) -> None:
    publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    site.node("l40s", "NVIDIA-L40S", gpu=4)
    site.node("h100", "NVIDIA-H100-80GB-HBM3", gpu=2)
    hardware = [{"gpu": "L40S", "count": 4}, {"gpu": "H100-SXM5-80GB", "count": 2}]
    proposal = deployed(
        site.deployment(model=LLAMA, artifact="llama-4bit", precision="gptq-w4a16", hardware=hardware)
    )
    kind = {"L40S": "l40s", "H100-SXM5-80GB": "h100"}[proposal.plan.gpu]
    assert [kind] * proposal.plan.replicas == site.places()


def test_too_little_is_said_with_how_many_and_where(site: Site, publish: Publish) -> None:
    publish("llama-16bit", LLAMA, "bf16", "one")
    site.node("one-gpu", A100, gpu=1)
    site.node("another", A100, gpu=1)
    deployment = site.deployment(
        {"router": {"apiKey": {"secret": "keys"}}, "cache": {"claim": "models"}, "store": {"secret": "s3"}},
        model=LLAMA,
        artifact="llama-16bit",
        precision="bf16",
        promise={"context": 4096, "concurrency": 2},
        hardware=[{"gpu": "A100-SXM4-80GB", "count": 2}],
    )
    proposal = propose(deployment, QUIET)
    said = " ".join(each.what for each in proposal.objections)
    assert "1 of 1 pods of chat-main find no room for" in said
    assert "2 nvidia.com/gpu" in said
    for node in ("one-gpu", "another"):
        assert f"{site.namespace.name}-{node} has 1 nvidia.com/gpu free" in said
    assert {
        "there is no Secret keys",
        "there is no Secret s3",
        "there is no PersistentVolumeClaim models",
    } <= {each.what for each in proposal.objections}
    with pytest.raises(ShipfitError) as caught:
        roll_out(proposal, QUIET)
    assert ExitCode.BAD_INPUT == caught.value.exit_code
    assert f"(and {len(proposal.objections) - 1} more, above)" in str(caught.value)
    assert [] == site.pods()


def test_the_cluster_is_asked_what_it_would_refuse(site: Site, publish: Publish) -> None:
    publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    site.node("a100", A100, gpu=1)
    site.quota("small", "requests.memory", "1Gi")
    strict = "pod-security.kubernetes.io/enforce=restricted"
    site.namespace.kubectl("label", "namespace", site.namespace.name, strict)
    proposal = propose(
        site.deployment(
            {
                "models": {"main": {"placement": {"priorityClassName": "no-such"}}},
                "extraObjects": [
                    {"apiVersion": "example.org/v1", "kind": "Unknown", "metadata": {"name": "strange"}}
                ],
            },
            **FOUR_BITS,
        ),
        QUIET,
    )
    said = [each.what for each in proposal.objections]
    assert any("no PriorityClass with name no-such was found" in each for each in said)
    assert "the cluster does not know Unknown of example.org/v1" in said
    assert any(
        each.startswith("quota small allows 1.0 GiB memory: others use 0.0 GiB memory, and") for each in said
    )
    assert not any("violates PodSecurity" in each for each in said)  # the chart keeps to the restricted level


def test_values_that_the_chart_does_not_know_are_named(site: Site, publish: Publish) -> None:
    publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    with pytest.raises(InputError) as caught:
        propose(site.deployment({"router": {"replicass": 3}}, **FOUR_BITS), QUIET)
    assert f"{site.folder}/values.yaml: router" in str(caught.value)
    assert "replicass" in str(caught.value)


def test_a_pod_without_a_place_ends_the_rollout_and_the_old_one_serves_on(
    site: Site, publish: Publish, pinned: Callable[[str], set[str]]
) -> None:
    first = publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    publish("llama-4bit", LLAMA, "gptq-w4a16", "two", "candidate")
    node = site.node("a100", A100, gpu=2)
    deployed(site.deployment(**FOUR_BITS))
    before = [each["metadata"]["uid"] for each in site.pods()]

    proposal = propose(site.deployment(**FOUR_BITS | {"artifact": "llama-4bit@candidate"}), QUIET)
    assert kubectl("cordon", node)
    with pytest.raises(VerdictError) as caught:
        roll_out(proposal, QUIET)
    said = str(caught.value)
    assert "the rollout failed: chat-main-" in said
    assert "the nodes that could take it are cordoned" in said
    assert "revision 1 serves as before" in said
    assert caught.value.log
    assert "are cordoned" in (caught.value.log / "events.log").read_text()
    assert before == [each["metadata"]["uid"] for each in site.pods()]
    assert first == status(target_of(proposal.target.deployment)).record["artifact"]["fingerprint"]
    assert {first} == pinned("llama-4bit")


def test_two_at_once_are_refused_and_what_never_answers_is_removed(site: Site, publish: Publish) -> None:
    publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    site.node("a100", A100, gpu=1)
    deployment = site.deployment(**FOUR_BITS)
    words = [sys.executable, "-m", "shipfit", "deploy", str(deployment.path), "--yes"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        while not pending(site):
            assert first.poll() is None, first.communicate()
            time.sleep(0.2)
        proposal = propose(deployment, QUIET)
        assert "another deploy is at it: revision 1 is pending-install since" in proposal.objections[0].what
        with pytest.raises(ShipfitError, match="another deploy is at it"):
            roll_out(proposal, QUIET)
        _, errors = first.communicate(timeout=300)
    # Nothing runs on a simulated node, so nothing answers through the router: a verdict, and nothing is left.
    assert ExitCode.NO == first.returncode
    assert "the rollout failed: chat: no port leads to service/chat-router" in errors
    assert "nothing was served before, and nothing is left" in errors
    assert not take_down(deployment, QUIET)


@pytest.mark.parametrize("name", ["production/llama-3.3-70b", "test-cluster/gemma-3-270m"])
def test_the_values_of_the_examples_are_those_of_the_chart(
    repository: Path, tmp_path: Path, name: str
) -> None:
    file = repository / "deploy" / f"{name}.yaml"
    target = target_of(load(file, Deployment))
    planned = tmp_path / "planned.json"
    planned.write_text(json.dumps({"models": {"main": {"weights": {"model": "org/model@abc", "bytes": 7}}}}))
    assert target.file
    rendered = target.helm.template(
        [planned, target.file], blamed=target.file, version=(1, 36), upgrade=False
    )
    kinds = {each["kind"] for each in documents(rendered)}
    assert {"Deployment", "Service", "ConfigMap"} <= kinds
    assert ("Ingress" in kinds) is ("PodMonitor" in kinds) is (name == "production/llama-3.3-70b")


def helm(site: Site, *words: str) -> str:
    """What Helm says of the release; nothing where it fails."""
    command = ["helm", *words, "chat", f"--namespace={site.namespace.name}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def pending(site: Site) -> bool:
    history: list[dict[str, Any]] = json.loads(helm(site, "history", "--output=json") or "[]")
    return bool(history) and history[-1]["status"] == "pending-install"
