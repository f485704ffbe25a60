"""What a cluster has, as far as a deployment depends on it: everything is asked at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from shipfit.core.errors import EnvironmentFailure
from shipfit.serve.cluster.gpus import nodes_and_pods
from shipfit.serve.cluster.helm import Current
from shipfit.serve.cluster.kubectl import OUT_OF_REACH, Kubectl, Object, objects
from shipfit.serve.cluster.programs import require
from shipfit.serve.cluster.room import ended
from shipfit.serve.cluster.target import INSTANCE, KIND, Target
from shipfit.serve.cluster.workloads import Reference


@dataclass(frozen=True)
class Survey:
    """A cluster at one moment.

    Attributes:
        version: of its API server, as (major, minor).
        namespace: the deployment's; None where there is none.
        items: every node and pod; None where this user may not list them.
        limits: ResourceQuotas of the namespace.
        rules: what this user may do in the namespace: (verbs, API groups, resources); None where the cluster does not
            say all of it.
        current: the release.
    """

    version: tuple[int, int]
    namespace: Object | None
    items: list[Object] | None
    limits: list[Object] = field(default_factory=list)
    rules: list[tuple[list[str], list[str], list[str]]] | None = None
    current: Current = field(default_factory=Current)

    def own_pods(self, target: Target) -> list[Object]:
        """The release's pods, less those that have ended."""
        return [
            each
            for each in self.items or []
            if each["kind"] == "Pod"
            and not ended(each)
            and each["metadata"]["namespace"] == target.cluster.namespace
            and each["metadata"].get("labels", {}).get(INSTANCE) == target.release
        ]

    def without(self, target: Target, workloads: Collection[str]) -> list[Object]:
        """Nodes and pods, less the release's pods of kinds that are to be there no more, such as a canary's."""
        gone = {
            each["metadata"]["uid"]
            for each in self.own_pods(target)
            if (kind := each["metadata"]["labels"].get(KIND)) and f"{target.release}-{kind}" not in workloads
        }
        return [each for each in self.items or [] if each["metadata"].get("uid") not in gone]


def survey(target: Target) -> Survey:
    """Look at a cluster.

    Raises:
        EnvironmentFailure: there is no kubectl or Helm, or the cluster is out of reach.
    """
    require("kubectl")
    require("helm")
    kubectl = target.kubectl
    with ThreadPoolExecutor() as pool:
        version = pool.submit(server_version, kubectl)
        namespace = pool.submit(_namespace, kubectl)
        items = pool.submit(_items, kubectl)
        limits = pool.submit(_if_allowed, kubectl, "resourcequotas")
        rules = pool.submit(_rules, kubectl)
        current = pool.submit(target.helm.current)
        version.result()  # an unreachable cluster is said once, in the words of the simplest call
        return Survey(
            version.result(),
            namespace.result(),
            items.result(),
            limits.result() or [],
            rules.result(),
            current.result(),
        )


def server_version(kubectl: Kubectl) -> tuple[int, int]:
    """The version of Kubernetes that answers, (major, minor).

    Raises:
        EnvironmentFailure: none does.
    """
    found = json.loads(kubectl.run("version", "--output=json"))
    server: Mapping[str, str] | None = found.get("serverVersion")
    if not server:
        raise EnvironmentFailure("the cluster does not say its version", hint=OUT_OF_REACH)
    return int(server["major"]), int(server["minor"].rstrip("+"))


def existing(kubectl: Kubectl, wanted: Sequence[Reference]) -> list[Object] | None:
    """Those of the wanted objects that are there; None where this user may not look.

    Raises:
        EnvironmentFailure: kubectl failed.
    """
    if not wanted:
        return []
    names = [f"{each.kind.lower()}/{each.name}" for each in wanted]
    return _if_allowed(kubectl, *names, "--ignore-not-found")


def _namespace(kubectl: Kubectl) -> Object | None:
    found = _if_allowed(kubectl, f"namespace/{kubectl.namespace}", "--ignore-not-found")
    if found is None:  # what is not to be seen may well be there
        return {"kind": "Namespace", "metadata": {"name": kubectl.namespace}}
    return found[0] if found else None


def _items(kubectl: Kubectl) -> list[Object] | None:
    try:
        return nodes_and_pods(kubectl)
    except EnvironmentFailure as error:
        if "forbidden" in error.message.lower():
            return None
        raise


def _if_allowed(kubectl: Kubectl, *words: str) -> list[Object] | None:
    done = kubectl.call("get", *words, "--output=json")
    if done.code == 0:
        return objects(done)
    if "forbidden" in done.said.lower():
        return None
    raise EnvironmentFailure(done.failure, hint=OUT_OF_REACH)


def _rules(kubectl: Kubectl) -> list[tuple[list[str], list[str], list[str]]] | None:
    """What this user may do in the namespace, by a SelfSubjectRulesReview of the API; None where that is incomplete."""
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": kubectl.namespace},
    }
    status = kubectl.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)["status"]
    if status.get("incomplete"):
        return None
    return [
        (each["verbs"], each.get("apiGroups") or [], each.get("resources") or [])
        for each in status["resourceRules"]
        if not each.get("resourceNames")
    ]
