from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.artifacts import Dataset, Engine, GateResult, ManifestDraft, Source, open_store
from shipfit.cli.main import run
from shipfit.core.errors import ExitCode
from shipfit.core.progress import NoProgress


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with two artifacts of ``demo``; ``stable`` went from the first to the second."""
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "bucket").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    digest = hashlib.sha256(b"").hexdigest()
    url = f"file://{tmp_path}/bucket"
    with open_store(url, NoProgress()) as store:
        for content in ("1", "2"):
            draft = ManifestDraft(
                name="demo",
                fingerprint=hashlib.sha256(content.encode()).hexdigest(),
                source=Source(model="bundled:gemma-3-270m", revision="r1"),
                recipe={"precision": "gptq-w4a16"},
                engine=Engine(name="llm-compressor", version="0", lock_sha256=digest),
                dataset=Dataset(calibration_sha256=digest, gate_sha256=digest),
                gate=GateResult(passed=True, figures={}, limits={}),
                source_bytes=1,
            )
            store.promote(
                "demo", "stable", store.publish(tmp_path / "model", draft, NoProgress()).fingerprint
            )
    return url


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert ExitCode.YES == run(["artifacts", *words, "--json", "--progress=quiet"])
    facts = json.loads(capsys.readouterr().out)
    assert isinstance(facts, dict)
    return facts


def test_facts_as_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    listed = _json(capsys, "ls", "--store", url)["artifacts"]
    assert isinstance(listed, list)
    assert {(): 1, ("stable",): 1} == {tuple(row["channels"]): 1 for row in listed}
    shown = _json(capsys, "show", "demo", "--store", url)
    assert ["stable"] == shown["channels"]
    assert shown["fingerprint"] == _json(capsys, "verify", "demo@stable", "--store", url)["fingerprint"]
    pulled = _json(capsys, "pull", "demo", "--store", url)
    assert Path(str(pulled["path"]), "config.json").exists()
    promoted = _json(capsys, "promote", "demo@stable", "candidate", "--store", url)
    assert shown["fingerprint"] == promoted["fingerprint"]
    assert shown["fingerprint"] != _json(capsys, "rollback", "demo", "--store", url)["fingerprint"]


def test_history_pins_and_what_a_collection_keeps_as_json(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest, oldest = _json(capsys, "history", "demo", "--store", url)["moves"]
    assert ("promote", "stable") == (newest["action"], newest["channel"])
    assert newest == _json(capsys, "history", "demo@stable", "--store", url)["moves"][0]
    pinned = f"demo@{oldest['fingerprint'][:12]}"
    assert "why" == _json(capsys, "pin", pinned, "--reason", "why", "--store", url)["reason"]
    words = ("gc", "demo", "--keep", "0", "--older-than", "0h", "--store", url)
    planned = _json(capsys, *words, "--dry-run")
    assert planned["dry_run"]
    why = {row["fingerprint"]: row["why"] for row in planned["artifacts"]}
    assert ["stable points to it"] == why[newest["fingerprint"]]
    assert ["a rollback of stable leads to it", "pinned: why"] == why[oldest["fingerprint"]]
    _json(capsys, "unpin", pinned, "--store", url)
    assert not any(row["goes"] for row in _json(capsys, *words)["artifacts"])


def test_a_policy_holds_from_the_moment_it_is_set(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _json(capsys, "policy", "demo", "--store", url)["policy"] is None
    file = tmp_path / "policy.yaml"
    file.write_text(
        "apiVersion: shipfit/v1\nkind: Policy\nname: demo\n"
        "channels: {stable: {only_from: candidate, verdicts: [load-test]}}\nretention: {rollbacks: 0}\n"
    )
    shown = _json(capsys, "policy", "demo", "--file", str(file), "--store", url)["policy"]
    assert {"only_from": "candidate", "verdicts": ["load-test"]} == shown["channels"]["stable"]
    assert ExitCode.NO == run(["artifacts", "promote", "demo@stable", "stable", "--store", url])
    error = capsys.readouterr().err
    assert "stable is promoted only from candidate, which was never set; no load-test verdict" in error
    assert 1 == error.count("\n")
    words = ("gc", "--keep", "0", "--older-than", "0h", "--store", url)
    assert [False, True] == sorted(row["goes"] for row in _json(capsys, *words)["artifacts"])
    assert 1 == len(_json(capsys, "ls", "--store", url)["artifacts"])


def test_facts_for_people(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.yaml").write_text("apiVersion: shipfit/v1\nkind: Policy\nname: demo\n")
    for words in (
        ["ls"],
        ["show", "demo"],
        ["verify", "demo"],
        ["pull", "demo"],
        ["policy", "demo"],
        ["policy", "demo", "--file", str(tmp_path / "policy.yaml")],
        ["pin", "demo", "--reason", "wanted"],
        ["history", "demo"],
        ["gc", "--dry-run"],
        ["gc", "demo"],
        ["unpin", "demo"],
        ["rollback", "demo"],
    ):
        assert ExitCode.YES == run(["artifacts", *words, "--store", url])
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show", "dmeo"], "nothing is called dmeo; did you mean demo?"),
        (["ls", "dmeo"], "nothing is called dmeo; did you mean demo?"),
        (["pull", "demo@stabel"], "demo has no channel stabel; did you mean stable?"),
        (["show", "demo@"], "'demo@' names no artifact; write NAME, NAME@CHANNEL or NAME@FINGERPRINT"),
        (["promote", "demo", "No Channel"], "'No Channel' is not a channel"),
        (["rollback", "demo@candidate"], "demo has no channel candidate"),
        (["history", "dmeo"], "nothing is called dmeo; did you mean demo?"),
        (["history", "demo@stabel"], "demo has no channel stabel; did you mean stable?"),
        (["gc", "dmeo"], "nothing is called dmeo; did you mean demo?"),
        (["gc", "--older-than", "3y"], "--older-than: '3y' is not an age; write 12h, 30d or 8w"),
        (["unpin", "demo"], "is not pinned"),
        (["pin", "demo", "--reason", ""], "--reason: is empty"),
        (["policy", "demo", "--file", "no.yaml"], "no.yaml: there is no such file"),
        ([], "Missing command"),
    ],
)
def test_a_mistake_is_one_line(
    url: str, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert ExitCode.BAD_INPUT == run(["artifacts", *words, *(["--store", url] if words else [])])
    error = capsys.readouterr().err
    assert line in error
    assert 1 == error.count("\n")
