"""The chart, and the programs that render and judge it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[3] / "helm" / "llm-serving"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
HELMS = ("helm", "helm3")  # Helm 4, and 3 beside it
KUBERNETES = "1.36.0"  # what helm renders for; Helm 3 built from its module would take 1.20
each_scenario = pytest.mark.parametrize(
    "values", VALUES, ids=[each.name.removesuffix("-values.yaml") for each in VALUES]
)


def scenario(name: str) -> Path:
    """One of the chart's values files for CI."""
    return CHART / "ci" / f"{name}-values.yaml"


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


def manifests(values: Path, *more: str, program: str = "helm", namespace: str = "llm") -> str:
    """The chart rendered with a values file, as release ``prod``."""
    return run(
        program,
        *("template", "prod", CHART, "--namespace", namespace, "--values", values),
        *("--kube-version", KUBERNETES, *more),
    )


def objects(rendered: str) -> Iterator[dict[str, Any]]:
    """The objects of a rendered chart."""
    return (each for each in yaml.safe_load_all(rendered) if each)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
