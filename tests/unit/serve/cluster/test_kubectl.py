from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shipfit.serve.cluster.kubectl import Kubectl


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a kubeconfig; instead of kubectl there is a program that prints what it is told."""
    (tmp_path / "kubectl").symlink_to(str(shutil.which("echo")))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_server_gets_a_time_to_answer_in(home: Path) -> None:
    assert "--namespace=llm get pods --request-timeout=5s" == told()


def test_in_a_pod_no_flag_keeps_kubectl_from_the_pods_own_account(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert "--namespace=llm get pods" == told()


def test_a_kubeconfig_in_a_pod_is_used_as_anywhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    (home / ".kube").mkdir()
    (home / ".kube" / "config").touch()
    assert told().endswith("--request-timeout=5s")
    (home / ".kube" / "config").unlink()
    monkeypatch.setenv("KUBECONFIG", "elsewhere")
    assert told().endswith("--request-timeout=5s")


def told() -> str:
    """What kubectl is told to look for pods."""
    return Kubectl(namespace="llm").call("get", "pods", timeout=5).out
