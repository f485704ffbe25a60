"""The chart on a real cluster, in a namespace that enforces the restricted Pod Security Standard."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.helm.charts import CHART, HELMS, each_scenario, manifests, needs, run, scenario
from tests.integration.helm.nodes import RESERVED, needs_simulation, simulated
from tests.integration.kubernetes import Namespace, namespace, needs_cluster

pytestmark = [pytest.mark.integration, needs_cluster, needs(*HELMS)]


@pytest.fixture(scope="module")
def restricted() -> Iterator[Namespace]:
    with namespace() as made:
        levels = (f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn"))
        made.kubectl("label", "namespace", made.name, *levels)
        yield made


@pytest.fixture(scope="module")
def simulating(restricted: Namespace) -> Namespace:
    needs_simulation(restricted)
    return restricted


@each_scenario
def test_the_server_takes_every_object_without_a_warning(values: Path, restricted: Namespace) -> None:
    rendered = manifests(values, namespace=restricted.name)
    # Also what belongs into another namespace, which need not be there.
    rendered = re.sub("^  namespace: .*$", f"  namespace: {restricted.name}", rendered, flags=re.MULTILINE)
    words = ("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename=-")
    restricted.kubectl(*words, stdin=rendered)


class Release:
    """The chart installed in a namespace, its pods kept to the nodes of the test."""

    def __init__(self, space: Namespace, values: Path, program: str = "helm") -> None:
        self.space, self.values, self.program = space, values, program

    def install(self, **sets: Any) -> None:
        """Install it, or change what is installed."""
        own = yaml.safe_load(self.values.read_text())
        here = {
            "nodeSelector": {RESERVED: self.space.name},
            "tolerations": [{"key": RESERVED, "operator": "Exists"}],
            "priorityClassName": "",  # an organisation's own, which this cluster need not have
            "runtimeClassName": "",
        }
        overrides = {
            "models": {name: {"placement": here, **sets} for name in own["models"]},
            "router": {"placement": here},
        }
        words = ("upgrade", "--install", "prod", CHART, f"--namespace={self.space.name}")
        run(self.program, *words, f"--values={self.values}", "--values=-", stdin=yaml.safe_dump(overrides))

    def rolled_out(self, deployment: str) -> None:
        """Wait until a Deployment's pods are all of its last revision, and ready."""
        self.space.kubectl("rollout", "status", f"deployment/prod-{deployment}", "--timeout=60s")

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Pods of router or replicas that are not being deleted."""
        labels = f"app.kubernetes.io/instance=prod,app.kubernetes.io/component={component}"
        found = self.space.get("pods", f"--selector={labels}")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def nodes(self, component: str) -> list[str]:
        """Where they are, sorted."""
        return sorted(each["spec"]["nodeName"] for each in self.pods(component))

    def states(self, component: str, *expected: tuple[str, str]) -> list[dict[str, Any]]:
        """Wait until there are pods of just these phases and scheduler's reasons; the pods in that order."""
        deadline = time.monotonic() + 60
        while True:
            pods = {
                (each["status"]["phase"], _condition(each).get("reason", "")): each
                for each in self.pods(component)
            }
            if pods.keys() == set(expected):
                return [pods[each] for each in expected]
            assert time.monotonic() < deadline, f"pods are {list(pods)}, not {expected}"
            time.sleep(0.5)


@contextmanager
def installed(space: Namespace, name: str, program: str = "helm", **sets: Any) -> Iterator[Release]:
    """A scenario as a release that ends with the block."""
    release = Release(space, scenario(name), program)
    try:
        release.install(**sets)
        yield release
    finally:
        run(program, "uninstall", "prod", f"--namespace={space.name}", "--wait", "--ignore-not-found")


@pytest.mark.parametrize("program", HELMS)
def test_replicas_land_on_the_gpus_that_they_ask_for(program: str, simulating: Namespace) -> None:
    gpus = {"nvidia.com/gpu": 1}
    with (
        simulated(simulating, a=gpus, b=gpus, plain={}) as (first, second, plain),
        installed(simulating, "one-gpu", program) as release,
    ):
        release.rolled_out("llama-70b")
        release.rolled_out("router")
        assert release.nodes("replica") == [first, second]
        assert release.nodes("router") == [plain, plain]


def test_a_tensor_parallel_replica_takes_two_gpus_of_one_node(simulating: Namespace) -> None:
    with (
        simulated(simulating, one={"nvidia.com/gpu": 1}, two={"nvidia.com/gpu": 2}) as (_, two),
        installed(simulating, "tensor-parallel") as release,
    ):
        release.rolled_out("llama-70b")
        assert release.nodes("replica") == [two]


def test_slices_by_mig_are_taken_one_a_replica(simulating: Namespace) -> None:
    with (
        simulated(simulating, sliced={"nvidia.com/mig-3g.40gb": 2}) as (sliced,),
        installed(simulating, "mig") as release,
    ):
        release.rolled_out("llama-8b")
        assert release.nodes("replica") == [sliced, sliced]


def test_an_update_in_place_needs_no_spare_gpu(simulating: Namespace) -> None:
    with simulated(simulating, only={"nvidia.com/gpu": 1}), installed(simulating, "replace") as release:
        release.rolled_out("llama-8b")
        release.install(engine={"args": {"max-num-seqs": 4}})
        release.rolled_out("llama-8b")
        (replica,) = release.pods("replica")
        assert "--max-num-seqs" in replica["spec"]["containers"][0]["args"]


def test_a_surge_without_a_spare_gpu_waits_and_the_old_replica_serves_on(simulating: Namespace) -> None:
    with (
        simulated(simulating, only={"nvidia.com/gpu": 1}),
        installed(simulating, "replace", rollout="surge") as release,
    ):
        release.rolled_out("llama-8b")
        release.install(rollout="surge", engine={"args": {"max-num-seqs": 4}})
        old, new = release.states("replica", ("Running", ""), ("Pending", "Unschedulable"))
        assert "--max-num-seqs" not in old["spec"]["containers"][0]["args"]
        assert "Insufficient nvidia.com/gpu" in _condition(new)["message"]


def test_what_fits_nowhere_waits_and_says_why(simulating: Namespace) -> None:
    larger = {"accelerator": {"count": 2}, "replicas": 1, "engine": {"args": {"tensor-parallel-size": 2}}}
    with (
        simulated(simulating, small={"nvidia.com/gpu": 1}),
        installed(simulating, "one-gpu", **larger) as release,
    ):
        (replica,) = release.states("replica", ("Pending", "Unschedulable"))
        assert "Insufficient nvidia.com/gpu" in _condition(replica)["message"]


def _condition(pod: dict[str, Any]) -> dict[str, Any]:
    """What the scheduler says of a pod."""
    conditions = pod["status"].get("conditions", [])
    return next((each for each in conditions if each["type"] == "PodScheduled"), {})
