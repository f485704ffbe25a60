"""Deploying to a node that runs containers: what they say when they do not start."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipfit.core.errors import VerdictError
from shipfit.core.progress import NoProgress
from shipfit.serve.cluster.deploy import roll_out, take_down
from shipfit.serve.cluster.propose import propose
from shipfit.spec import Deployment, load
from tests.integration.kubernetes import namespace, needs_cluster
from tests.integration.serve.cluster.conftest import Publish

pytestmark = [pytest.mark.integration, needs_cluster]

NO_IMAGE = "registry.invalid/shipfit"
LITTLE = {
    "requests": {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "0"},
    "limits": {"memory": "64Mi"},
}


@pytest.fixture
def real_node() -> str:
    """The name of a node that runs containers."""
    words = ["kubectl", "get", "nodes", "--output=json"]
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(words, capture_output=True, text=True, check=True).stdout
    )["items"]
    real = [each for each in found if "kwok.x-k8s.io/node" not in each["metadata"].get("annotations", {})]
    if not real:
        pytest.skip("no node of the cluster runs containers; add one, such as by `kind create cluster`")
    return str(real[0]["metadata"]["name"])


def test_an_image_that_does_not_exist_is_named_and_nothing_is_left(
    real_node: str, publish: Publish, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIPFIT_STATE_DIR", str(tmp_path / "state"))
    publish("gemma", "bundled:gemma-3-270m", "gptq-w4a16", "one")
    here = {"nodeSelector": {"kubernetes.io/hostname": real_node}}
    values = {
        "models": {"main": {"placement": here, "engine": {"resources": LITTLE}}},
        "router": {"replicas": 1, "placement": here, "resources": LITTLE},
        "store": {"resources": LITTLE},
        "engine": {"image": {"repository": NO_IMAGE, "tag": "0"}},
        "shipfit": {"image": {"repository": NO_IMAGE, "tag": "0"}},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    with namespace() as own:
        spec = {
            "apiVersion": "shipfit/v1",
            "kind": "Deployment",
            "name": "chat",
            "model": "bundled:gemma-3-270m",
            "artifact": "gemma",
            "precision": "gptq-w4a16",
            "store": store_url,
            "hardware": [{"gpu": "cpu"}],
            "promise": {"context": 512, "concurrency": 1},
            "replicas": 1,
            "cluster": {"namespace": own.name, "values": "values.yaml"},
        }
        (tmp_path / "chat.yaml").write_text(yaml.safe_dump(spec))
        deployment = load(tmp_path / "chat.yaml", Deployment)
        with pytest.raises(VerdictError) as caught:
            roll_out(propose(deployment, NoProgress()), NoProgress())
        said = str(caught.value)
        assert "its image does not exist" in said
        assert NO_IMAGE in said
        assert "nothing was served before, and nothing is left" in said
        assert not take_down(deployment, NoProgress())
