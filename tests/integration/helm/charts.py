"""The charts, and the programs that render and judge them."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[3] / "helm" / "llm-serving"
REQUANTIZATION = CHART.with_name("llm-requantization")
CHARTS = (CHART, REQUANTIZATION)


def scenarios(chart: Path) -> list[Path]:
    """A chart's values files for CI."""
    return sorted((chart / "ci").glob("*-values.yaml"))


VALUES = scenarios(CHART)
HELMS = ("helm", "helm3")  # Helm 4, and 3 beside it
KUBERNETES = "1.36.0"  # what helm renders for; Helm 3 built from its module would take 1.20
SCENARIOS = [values for chart in CHARTS for values in scenarios(chart)]
each_chart = pytest.mark.parametrize("chart", CHARTS, ids=[each.name for each in CHARTS])
each_scenario = pytest.mark.parametrize(
    "values",
    SCENARIOS,
    ids=[f"{each.parents[1].name}-{each.name.removesuffix('-values.yaml')}" for each in SCENARIOS],
)


def scenario(name: str, chart: Path = CHART) -> Path:
    """One of a chart's values files for CI."""
    return chart / "ci" / f"{name}-values.yaml"


PROGRAMS = {
    "helm": "https://helm.sh/docs/intro/install",
    "helm3": "https://github.com/helm/helm/releases, the last 3.x, under this name",
    "helm-unittest": "https://github.com/helm-unittest/helm-unittest/releases",
    "helm-docs": "https://github.com/norwoodj/helm-docs/releases",
    "kubeconform": "https://github.com/yannh/kubeconform/releases",
    "kube-score": "https://github.com/zegl/kube-score/releases",
    "promtool": "apt-get install prometheus",
}


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips a test where one of the programs is missing."""
    missing = [f"{each} ({PROGRAMS[each]})" for each in programs if shutil.which(each) is None]
    return pytest.mark.skipif(bool(missing), reason=f"have on the PATH: {', '.join(missing)}")


def run(*words: str | Path, stdin: str | None = None) -> str:
    """What a program prints; fails the test with all of it where the program fails."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def manifests(
    values: Path, *more: str, program: str = "helm", namespace: str = "llm", chart: Path | None = None
) -> str:
    """A chart, by default that which a values file belongs to, rendered with the file as release ``prod``."""
    return run(
        program,
        *("template", "prod", chart or values.parents[1], "--namespace", namespace, "--values", values),
        *("--kube-version", KUBERNETES, *more),
    )


def objects(rendered: str) -> Iterator[dict[str, Any]]:
    """The objects of a rendered chart."""
    return (each for each in yaml.safe_load_all(rendered) if each)


def rayjobs(rendered: str) -> list[dict[str, Any]]:
    """The Ray jobs that a rendered chart holds in ConfigMaps, for a pod to create."""
    maps = (each["data"] for each in objects(rendered) if each["kind"] == "ConfigMap")
    return [yaml.safe_load(data["rayjob.yaml"]) for data in maps if "rayjob.yaml" in data]


def pods(kinds: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The pods of Ray jobs and LeaderWorkerSets, whose operators alone know where the templates are: one of each."""
    for each in kinds:
        if each["kind"] == "RayJob":
            cluster = each["spec"]["rayClusterSpec"]
            groups = [("head", cluster["headGroupSpec"]), ("worker", *cluster["workerGroupSpecs"])]
            for kind, group in groups:
                yield _pod(each, kind, group["template"], {"ray.io/node-type": kind})
        elif each["kind"] == "LeaderWorkerSet":
            for number, kind in enumerate(("leader", "worker")):
                label = {"leaderworkerset.sigs.k8s.io/worker-index": str(number)}
                yield _pod(each, kind, each["spec"]["leaderWorkerTemplate"][f"{kind}Template"], label)


def _pod(
    owner: dict[str, Any], kind: str, template: dict[str, Any], labels: dict[str, str]
) -> dict[str, Any]:
    metadata = {
        **template["metadata"],
        "name": f"{owner['metadata']['name']}-{kind}",
        "namespace": owner["metadata"]["namespace"],
        "labels": {**template["metadata"]["labels"], **labels},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Values as Helm merges two files of them."""
    both = {
        key: merged(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], dict) and isinstance(above[key], dict)
    }
    return {**below, **above, **both}


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
