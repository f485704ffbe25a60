"""What the chart llm-requantization lets its pods do where a rollout is asked for: all that a deploy does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipfit.core.progress import NoProgress
from shipfit.serve.cluster.deploy import roll_out, take_down
from shipfit.serve.cluster.propose import propose
from tests.integration.helm.charts import HELMS, REQUANTIZATION, needs, objects, run
from tests.integration.kubernetes import Namespace, needs_cluster
from tests.integration.serve.cluster.conftest import A100, Publish, Site

pytestmark = [pytest.mark.integration, needs_cluster, needs(*HELMS)]

QUIET = NoProgress()
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
FOUR_BITS = {"model": LLAMA, "artifact": "llama-4bit@stable", "hardware": [{"gpu": "A100-SXM4-80GB"}]}
ACROSS = {
    "model": "meta-llama/Llama-3.1-405B-Instruct",
    "artifact": "llama-405b",
    "precision": "bf16",
    "across_machines": True,
    "hardware": [{"gpu": "H100-SXM5-80GB", "count": 16}],
}
EVERY_KIND = {  # of objects that the chart llm-serving makes
    "models": {
        "main": {
            "autoscaling": {"min": 1, "max": 2, "waitingRequests": 2, "prometheus": "http://prometheus:9090"}
        }
    },
    "router": {"apiKey": {"secret": "api-keys"}},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["llm.example.com"]},
    "ingress": {"enabled": True, "host": "llm.example.com"},
    "monitoring": {name: {"enabled": True} for name in ("podMonitor", "rules", "dashboard")},
}


def give_rights(space: Namespace, spec: dict[str, Any]) -> str:
    """Make the account and rights that the chart makes for a rollout; the account's token."""
    values = {
        "pipelines": {
            "any": {
                "schedule": "@weekly",
                "configMap": "any",
                "workers": {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
                "rollout": {"spec": spec, "files": {spec["cluster"]["values"]: ""}},
            }
        }
    }
    shown = [f"--show-only=templates/{name}.yaml" for name in ("serviceaccount", "rollout-role")]
    where = (space.name, REQUANTIZATION, f"--namespace={space.name}")
    rendered = run("helm", "template", *where, *shown, "--values=-", stdin=yaml.safe_dump(values))
    space.apply(list(objects(rendered)))
    return space.kubectl("create", "token", f"{space.name}-decide").strip()


@contextmanager
def account_of(site: Site, spec: dict[str, Any], folder: Path, program: str) -> Iterator[None]:
    """Everything in the block is done as the schedule's pods would do it, by one of the Helms."""
    config = json.loads(run("kubectl", "config", "view", "--raw", "--minify", "--output=json"))
    token = give_rights(site.namespace, spec)
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    (folder / "kubeconfig").write_text(json.dumps(config))
    programs = folder / "programs"
    programs.mkdir()
    (programs / "helm").symlink_to(str(shutil.which(program)))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
            patch.setenv("PATH", str(programs), prepend=":")
            yield
    finally:
        for kind in ("clusterrole", "clusterrolebinding"):
            run("kubectl", "delete", kind, f"{site.namespace.name}-{site.namespace.name}-rollout")


@pytest.mark.parametrize("program", HELMS)
def test_it_rolls_out_every_kind_of_object_and_removes_all(
    program: str, site: Site, publish: Publish, tmp_path: Path
) -> None:
    publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    site.node("a100", A100, gpu=1)
    site.namespace.kubectl("create", "secret", "generic", "api-keys", "--from-literal=api-key=any")
    deployment = site.deployment(EVERY_KIND, **FOUR_BITS)
    assert deployment.path
    with account_of(site, yaml.safe_load(deployment.path.read_text()), tmp_path, program):
        proposal = propose(deployment, QUIET)
        assert proposal.found.items is not None  # nodes and pods, by which room is known
        roll_out(proposal, QUIET)
        assert propose(deployment, QUIET).unchanged
        publish("llama-4bit", LLAMA, "gptq-w4a16", "two")
        roll_out(propose(deployment, QUIET), QUIET)
        for action, what in (("get", "pods/log"), ("create", "pods/portforward")):  # of pods that run
            assert run("kubectl", "auth", "can-i", action, what, f"--namespace={site.namespace.name}")
        assert take_down(deployment, QUIET)


def test_it_rolls_out_replicas_that_span_machines(site: Site, publish: Publish, tmp_path: Path) -> None:
    publish("llama-405b", ACROSS["model"], "bf16", "one")
    for name in ("h100-0", "h100-1"):
        site.node(name, "NVIDIA-H100-80GB-HBM3", gpu=8)
    deployment = site.deployment(**ACROSS)
    assert deployment.path
    with account_of(site, yaml.safe_load(deployment.path.read_text()), tmp_path, "helm"):
        roll_out(propose(deployment, QUIET), QUIET)
        assert ["h100-0", "h100-1"] == site.places()
        assert take_down(deployment, QUIET)
