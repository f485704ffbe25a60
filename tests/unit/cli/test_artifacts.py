from __future__ import annotations

import hashlib
import json
from pathlib import Path

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


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
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


def test_facts_for_people(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ls"], ["show", "demo"], ["verify", "demo"], ["pull", "demo"], ["rollback", "demo"]):
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
