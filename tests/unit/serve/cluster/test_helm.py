"""What Helm says of values that the chart refuses, in the words of Helm 3.22 and 4.3."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.serve.cluster.helm import Current, Helm, Revision, chart
from shipfit.serve.cluster.programs import Done

HELM = """#!/bin/sh
cat >&2 <<'END'
{said}
END
exit 1
"""


def rendered(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    program = folder / "helm"
    program.write_text(HELM.format(said=said))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    Helm("chat", "llm").template([folder / "v.yaml"], blamed=Path("own.yaml"), version=(1, 36), upgrade=False)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "Error: values don't meet the specifications of the schema(s) in the following chart(s):\n"
            "llm-serving:\n- at '/router/replicas': got string, want integer",
            "own.yaml: router.replicas: got string, want integer",
        ),
        (
            "Error: execution error at (llm-serving/templates/replica-deployment.yaml:1:4): models: there is none",
            "own.yaml: models: there is none",
        ),
        (
            "Error: failed to parse own.yaml: error converting YAML to JSON: yaml: line 3: found a tab",
            "own.yaml: is not valid YAML: line 3: found a tab",
        ),
    ],
)
def test_the_value_that_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, line: str
) -> None:
    with pytest.raises(InputError) as caught:
        rendered(tmp_path, monkeypatch, said)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_anything_else_is_helms_own_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentFailure, match="helm template chat ended with code 1: Error: no space"):
        rendered(tmp_path, monkeypatch, "Error: no space")


def test_the_chart_is_found(repository: Path) -> None:
    assert repository / "helm" / "llm-serving" == chart()


def test_what_serves_is_told_from_what_was_tried() -> None:
    def revision(number: int, status: str) -> Revision:
        return Revision(number, status, "now", "")

    tried = Current([revision(1, "superseded"), revision(2, "deployed"), revision(3, "pending-upgrade")])
    assert (2, 3) == (tried.serving and tried.serving.number, tried.pending and tried.pending.number)
    failed = Current([revision(1, "failed")])
    assert failed.serving is failed.pending is None
    assert Current().serving is Current().pending is None


def history(*told: str) -> Current:
    """A release whose revisions say this, each ``deployed`` until the next."""
    last = len(told)
    statuses = ["deployed" if number == last else "superseded" for number in range(1, last + 1)]
    statuses = ["failed" if each == "failed" else status for each, status in zip(told, statuses, strict=True)]
    return Current(
        [
            Revision(number, status, "now", each)
            for number, (status, each) in enumerate(zip(statuses, told, strict=True), 1)
        ]
    )


@pytest.mark.parametrize(
    ("told", "settled", "before"),
    [
        (["Install complete"], 1, None),
        (["Install complete", "Upgrade complete"], 2, 1),
        (["Install complete", "Upgrade complete", "Rollback to 1"], 3, 2),  # and forth again
        (["Install complete", "Upgrade complete", "Rollback to 1", "Rollback to 2"], 4, 3),
        (["Install complete", "Upgrade complete", "failed", "Rollback to 2"], 4, 1),  # not to itself
        (["Install complete", 'Upgrade "chat" failed: conflict', "Upgrade complete"], 3, 1),
        (["Install complete", "canary 10%"], 1, 1),  # a canary stands
        (["Install complete", "canary 10%", "Rollback to 1"], 3, None),  # was taken away
        (["Install complete", "canary 10%", "Upgrade complete"], 3, 1),  # was good
        (["Install complete", "canary 10%", "Upgrade complete", "Rollback to 2"], 3, 3),
    ],
)
def test_what_to_go_back_to_is_never_a_canary_nor_what_serves_already(
    told: list[str], settled: int, before: int | None
) -> None:
    current = history(*told)
    assert settled == (current.settled and current.settled.number)
    assert before == (current.before and current.before.number)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (["Error: release: not found"], "Error: release: not found"),
        (["Warning: old", "error: You must be logged in"], "error: You must be logged in"),
        (["Error: one", "Error: two", " goes on "], "Error: two goes on"),
        ([], "(it printed nothing)"),
    ],
)
def test_the_last_error_is_what_a_program_said(errors: list[str], said: str) -> None:
    assert said == Done(("helm",), 1, "", errors).said
