from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.cli.main import run

SPEC = """\
apiVersion: shipfit/v1
kind: Deployment
name: chat
model: org/model
hardware: [{gpu: cpu}]
promise: {context: 512, concurrency: 1}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chat.yaml"
    path.write_text(SPEC)
    return path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    line = capsys.readouterr().err
    assert 1 == line.count("\n")
    return line


@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_a_deployment_of_this_machine_is_told_what_to_write(
    file: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert 2 == run([command, str(file)])
    assert "cluster: is missing; say where it goes, as `cluster: {namespace: llm}`" in said(capsys)


def test_a_deployment_of_a_cluster_is_not_started_here(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(SPEC + "cluster: {namespace: llm}\n")
    assert 2 == run(["up", str(file)])
    assert f"{file}: goes to namespace llm of a cluster; run `shipfit deploy {file}`" in said(capsys)


def test_values_that_are_not_there_are_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(SPEC + "cluster:\n  namespace: llm\n  values: no.yaml\n")
    assert 2 == run(["deploy", str(file)])
    assert f"{file}:9: cluster.values: there is no file {file.parent}/no.yaml" in said(capsys)


@pytest.mark.parametrize("store", ["", "store: file:///models\n"])
def test_pods_must_reach_the_store(file: Path, capsys: pytest.CaptureFixture[str], store: str) -> None:
    file.write_text(SPEC + f"artifact: chat\n{store}cluster: {{namespace: llm}}\n")
    assert 2 == run(["deploy", str(file)])
    assert "pods reach neither a folder nor the embedded store of this machine" in said(capsys)


@pytest.mark.parametrize("program", ["kubectl", "helm"])
def test_programs_that_are_missing_are_named(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    file.write_text(SPEC + "cluster: {namespace: llm}\n")
    folder = file.parent / "bin"
    folder.mkdir()
    if program == "helm":
        (folder / "kubectl").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert 3 == run(["deploy", str(file)])
    assert f"there is no {program} on the PATH; install it" in said(capsys)


def test_nothing_is_removed_unasked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(SPEC + "cluster: {namespace: llm}\n")
    assert 2 == run(["down", str(file)])
    assert "--yes: nobody can be asked: this is no terminal; look, then add --yes" in said(capsys)
