"""A deployment and the place in a cluster that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shipfit.core.errors import InputError
from shipfit.serve.cluster.helm import Helm
from shipfit.serve.cluster.kubectl import Kubectl
from shipfit.serve.cluster.values import release_name
from shipfit.spec import Cluster, Deployment, blame

INSTANCE = "app.kubernetes.io/instance"
"""The label that all objects of a release bear."""

COMPONENT = "app.kubernetes.io/component"
"""The label that tells replicas from router pods."""

KIND = "shipfit/model"
"""The label that tells replicas of one kind, of a model or of a canary, from others."""

ENGINE = "vllm"
"""The container of a replica that runs vLLM."""


@dataclass(frozen=True)
class Target:
    """A deployment and the programs that reach its place.

    Attributes:
        cluster: what its spec says of it.
        file: values that its owner wrote; None where there are none.
    """

    deployment: Deployment
    cluster: Cluster
    file: Path | None
    kubectl: Kubectl
    helm: Helm

    @property
    def release(self) -> str:
        """What it is called there."""
        return self.helm.release

    @property
    def place(self) -> str:
        """Where it is, in words."""
        context = f", context {self.cluster.context}" if self.cluster.context else ""
        return f"namespace {self.cluster.namespace}{context}"

    @property
    def spec(self) -> str:
        """The file that names it, for commands to copy."""
        return str(self.deployment.path or self.deployment.name)


def target_of(deployment: Deployment) -> Target:
    """Where a deployment goes.

    Raises:
        InputError: its spec does not say, or names values that are not there.
    """
    cluster = deployment.cluster
    if cluster is None:
        with blame(deployment, "cluster"):
            raise InputError(
                "is missing",
                hint="say where it goes, as `cluster: {namespace: llm}`; on this machine, `shipfit up` serves it",
            )
    file = deployment.resolve(cluster.values) if cluster.values else None
    if file and not file.is_file():
        with blame(deployment, "cluster", "values"):
            raise InputError(f"there is no file {file}", hint="name one, seen from the deployment's folder")
    return Target(
        deployment,
        cluster,
        file,
        Kubectl(cluster.context, cluster.namespace),
        Helm(release_name(deployment), cluster.namespace, cluster.context),
    )
