"""The API of a cluster, through kubectl: it brings the user's context, credentials and plugins along."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.core.errors import EnvironmentFailure
from shipfit.serve.cluster.programs import Done, call

Object = Mapping[str, Any]
"""An object of the API, as JSON."""

TIMEOUT_S = 20
"""Seconds that the API may take to answer."""

OUT_OF_REACH = "name the cluster by KUBECONFIG or `kubectl config use-context`"


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster.

    Attributes:
        context: of the kubeconfig; None for the current one.
        namespace: where objects are looked for; None for the context's own.
    """

    context: str | None = None
    namespace: str | None = None

    def argv(self, *words: str) -> list[str]:
        """The whole command line of a call."""
        where = [f"--context={self.context}"] if self.context else []
        if self.namespace:
            where.append(f"--namespace={self.namespace}")
        return ["kubectl", *where, *words]

    def call(self, *words: str, stdin: str | None = None, timeout: float = TIMEOUT_S) -> Done:
        """Run kubectl, and return however it ended.

        Args:
            timeout: seconds that the server may take; the program gets twice that.

        Raises:
            EnvironmentFailure: there is no kubectl, or it did not end.
        """
        argv = self.argv(*words, *([] if _in_pod() else [f"--request-timeout={timeout:g}s"]))
        return call(argv, shown=("kubectl", *words), stdin=stdin, timeout=2 * timeout)

    def run(self, *words: str, stdin: str | None = None, timeout: float = TIMEOUT_S) -> str:
        """Run kubectl; what it prints.

        Raises:
            EnvironmentFailure: it failed.
        """
        done = self.call(*words, stdin=stdin, timeout=timeout)
        if done.code != 0:
            raise EnvironmentFailure(done.failure, hint=OUT_OF_REACH)
        return done.out

    def items(self, *words: str) -> list[Object]:
        """The objects that ``kubectl get`` finds.

        Raises:
            EnvironmentFailure: it failed, or did not print objects.
        """
        done = self.call("get", *words, "--output=json")
        if done.code != 0:
            raise EnvironmentFailure(done.failure, hint=OUT_OF_REACH)
        return objects(done)

    def post(self, path: str, document: Object) -> Object:
        """Send a document to a path of the API, such as a review of permissions, and return the answer.

        Raises:
            EnvironmentFailure: it failed.
        """
        text = self.run("create", "--raw", path, "--filename=-", stdin=json.dumps(document))
        made: Object = json.loads(text)
        return made

    def logs(self, pod: str, container: str, *, lines: int, previous: bool = False) -> list[str]:
        """The last lines that a container printed; none where it has not begun.

        Args:
            previous: of its run before the present one.

        Raises:
            EnvironmentFailure: there is no kubectl.
        """
        words = ["logs", pod, f"--container={container}", f"--tail={lines}"]
        done = self.call(*words, *(["--previous"] if previous else []))
        return done.out.splitlines() if done.code == 0 else []


def _in_pod() -> bool:
    """Whether kubectl has only the account of the pod that it runs in.

    It takes that only where no flag says how to ask the API (github.com/kubernetes/kubernetes/issues/93474).
    """
    given = os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").exists()
    return "KUBERNETES_SERVICE_HOST" in os.environ and not given


def objects(done: Done) -> list[Object]:
    """The objects that a call printed, one or a list of them.

    Raises:
        EnvironmentFailure: it printed something else.
    """
    try:
        value = json.loads(done.out) if done.out.strip() else {"items": []}
        found: list[Object] = value.get("items", [value])
        for each in found:
            _ = each["kind"], each["metadata"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFailure(
            f"{' '.join(done.words)} did not print objects ({type(error).__name__}: {error})",
            hint="run it by hand and see",
        ) from error
    return found
