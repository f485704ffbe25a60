"""What can be told of a RayJob without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import EnvironmentFailure, InputError, ShipfitError, VerdictError
from shipfit.core.progress import NoProgress
from shipfit.quantize.cluster.rayjob import _failure, by_rayjob

MESSAGE = (
    "Job entrypoint command failed with exit code {code}, last available logs (truncated to 20,000 chars):\n"
    "2026-11-27 07:58:02,345\tINFO job_manager.py:581 -- Runtime env is setting up.\n{line}\n"
)  # as KubeRay 1.6.2 keeps it of Ray 2.60


@pytest.mark.parametrize(
    ("code", "line", "kind", "told"),
    [
        (1, "shipfit: the gate failed, nothing was published", VerdictError, "the gate failed, nothing was"),
        (2, "shipfit: calibration has too little text", InputError, "calibration has too little text"),
        (3, "shipfit: no space left on the disk", EnvironmentFailure, "no space left on the disk"),
        (137, "loading the model", EnvironmentFailure, "job a was killed by SIGKILL.*loading the model"),
        (127, "sh: 1: shipfit: not found", EnvironmentFailure, "found no shipfit on the cluster"),
    ],
)
def test_a_commands_own_error_is_told(code: int, line: str, kind: type[ShipfitError], told: str) -> None:
    failure = _failure("a", {"jobStatus": "FAILED", "message": MESSAGE.format(code=code, line=line)})
    with pytest.raises(kind, match=told):
        raise failure or AssertionError


def test_an_end_without_the_command_is_told_in_kuberays_words() -> None:
    message = "The RayJob has passed the activeDeadlineSeconds. ActiveDeadlineSeconds: 60"
    status = {"jobStatus": "RUNNING", "reason": "DeadlineExceeded", "message": message}
    assert f"RayJob a failed (DeadlineExceeded): {message}" in str(_failure("a", status))
    assert _failure("a", {"jobStatus": "SUCCEEDED"}) is None


@pytest.mark.parametrize(
    "text",
    ["", "kind: Job\nmetadata: {name: a, namespace: b}\nspec: {}", "kind: RayJob\nmetadata: {name: a}"],
)
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rayjob.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"rayjob\.yaml: is no RayJob with a name and a namespace"):
        by_rayjob(file, NoProgress())


def test_outside_a_pod_there_is_no_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = tmp_path / "rayjob.yaml"
    file.write_text("kind: RayJob\nmetadata: {name: a, namespace: b}\nspec: {}")
    with pytest.raises(EnvironmentFailure, match="this is no pod with a service account's token"):
        by_rayjob(file, NoProgress())(["work"])
