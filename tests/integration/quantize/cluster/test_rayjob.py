"""RayJobs by Kubernetes' API, with the rights that the chart gives: what is told of those that lead to nothing."""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from shipfit.core.errors import EnvironmentFailure
from shipfit.quantize.cluster import kubernetes, rayjob
from tests.integration.helm.charts import REQUANTIZATION, manifests, needs, objects, scenario
from tests.integration.kubernetes import Namespace, needs_cluster
from tests.waiting import eventually

from .conftest import Heard

pytestmark = [pytest.mark.integration, needs_cluster, needs("helm")]


@pytest.fixture
def account(space: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pod of the chart's deciding account has to reach the API by."""
    rights = objects(manifests(scenario("cpu", REQUANTIZATION), namespace=space.name))
    space.apply([each for each in rights if each["kind"] in {"ServiceAccount", "Role", "RoleBinding"}])
    config = json.loads(space.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    cluster = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    (tmp_path / "token").write_text(space.kubectl("create", "token", "prod-decide"))
    monkeypatch.setattr(kubernetes, "_ACCOUNT", tmp_path)
    monkeypatch.setattr(rayjob, "_POLL_SECONDS", 0.2)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(server.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port or 443))
    return tmp_path


def template(folder: Path, space: Namespace, **spec: Any) -> Path:
    metadata = {"name": "prod-tiny", "namespace": space.name}
    document = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": spec}
    file = folder / "rayjob.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def found(space: Namespace) -> dict[str, str]:
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in space.get("rayjobs")["items"]}


def test_what_failed_is_made_again_under_its_name(space: Namespace, account: Path) -> None:
    work = rayjob.by_rayjob(template(account, space, entrypoint="true"), Heard())
    failure = work(["a", "b"])
    assert isinstance(failure, EnvironmentFailure)
    assert re.match(r"RayJob prod-tiny-\w{10} failed \(ValidationFailed\): .*RayClusterSpec", str(failure))
    first = found(space)

    assert work(["b", "a"])
    again = found(space)
    assert first.keys() == again.keys()
    assert first != again

    assert work(["c"])
    assert len(found(space)) == 2


def test_what_runs_is_followed_by_whoever_wants_the_same(space: Namespace, account: Path) -> None:
    container = {"name": "ray", "image": "localhost/none:1"}
    pod = {"template": {"spec": {"containers": [container]}}, "rayStartParams": {}}
    waiting = {"suspend": True, "shutdownAfterJobFinishes": True, "rayClusterSpec": {"headGroupSpec": pod}}
    file = template(account, space, entrypoint="true", **waiting)
    heard = [Heard(), Heard()]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(rayjob.by_rayjob(file, heard[0]), ["a"])
        eventually(lambda: "it is Suspended" in heard[0].said, 120)
        second = pool.submit(rayjob.by_rayjob(file, heard[1]), ["a"])
        eventually(lambda: "it runs already: following it" in heard[1].said, 120)
        (name,) = found(space)
        space.kubectl("delete", f"rayjob/{name}")
        for each in (first, second):
            assert f"RayJob {name} was deleted" in str(each.result(timeout=30))


def test_an_account_without_the_role_is_told_so(space: Namespace, account: Path) -> None:
    (account / "token").write_text(space.kubectl("create", "token", "default"))
    with pytest.raises(EnvironmentFailure, match=r"refuses to get rayjobs: .*cannot get resource.*bind"):
        rayjob.by_rayjob(template(account, space, entrypoint="true"), Heard())(["a"])
