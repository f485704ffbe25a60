"""Kubernetes' API from inside a pod, with the token of the pod's service account: the three calls that a job takes."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shipfit.core.errors import EnvironmentFailure

Object = Mapping[str, Any]
"""An object of the API, as JSON."""

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token and the API's certificate: "Accessing the Kubernetes API from a Pod" of its manual."""

_TIMEOUT_S = 20.0


class Api:
    """The objects of one kind in one namespace. Use as a context manager.

    Args:
        kind: as in the API's paths: ``apis/GROUP/VERSION``, and the plural of the kind.
        namespace: theirs.

    Raises:
        EnvironmentFailure: this is no pod, or one without a token.
    """

    def __init__(self, kind: tuple[str, str], namespace: str) -> None:
        import httpx

        group, self._plural = kind
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{what}", "") for what in ("HOST", "PORT"))
        if not host or not (_ACCOUNT / "token").exists():
            raise EnvironmentFailure(
                "this is no pod with a service account's token, by which Kubernetes' API is reached",
                hint="run it by helm/llm-requantization, or a Ray cluster's job by --address http://HOST:8265",
            )
        address = f"[{host}]" if ":" in host else host
        self._client = httpx.Client(
            base_url=f"https://{address}:{port}/{group}/namespaces/{namespace}/{self._plural}",
            verify=ssl.create_default_context(cafile=_ACCOUNT / "ca.crt"),
            timeout=_TIMEOUT_S,
            trust_env=False,  # no proxy stands between a pod and its API
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def get(self, name: str) -> Object | None:
        """An object; None where there is none of that name.

        Raises:
            EnvironmentFailure: the API is out of reach, or refuses.
        """
        return self._call("GET", f"/{name}", absent=404)

    def create(self, document: Object) -> Object | None:
        """Make an object; None where one of its name is there already.

        Raises:
            EnvironmentFailure: the API is out of reach, or refuses.
        """
        return self._call("POST", "", absent=409, json=document)

    def delete(self, name: str) -> None:
        """Remove an object, if it is there, and what it owns; some time may pass until it is gone.

        Raises:
            EnvironmentFailure: the API is out of reach, or refuses.
        """
        self._call("DELETE", f"/{name}", absent=404, params={"propagationPolicy": "Background"})

    def _call(self, method: str, path: str, *, absent: int, **more: Any) -> Object | None:
        import httpx

        try:
            # Read anew each time: a token is good for an hour, and the kubelet replaces it before.
            token = (_ACCOUNT / "token").read_text().strip()
            answer = self._client.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)
            if answer.status_code == absent:
                return None
            told: Object = answer.json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise EnvironmentFailure(f"Kubernetes' API does not answer: {error}") from error
        if answer.is_success:
            return told
        hints = {
            403: "bind the pod's service account to the Role of helm/llm-requantization",
            404: f"the cluster knows no {self._plural}: install the KubeRay operator",
        }
        raise EnvironmentFailure(
            f"Kubernetes' API refuses to {method.lower()} {self._plural}: {told.get('message', answer.text)}",
            hint=hints.get(answer.status_code),
        )
