"""Several candidates: what becomes of one does not decide about the others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shipfit.artifacts import FileEntry, Staged, open_store
from shipfit.core.errors import EnvironmentFailure, ShipfitError
from shipfit.core.progress import NoProgress, Progress
from shipfit.environments import Accelerator
from shipfit.quantize import gate
from shipfit.quantize.inputs import Candidate
from shipfit.quantize.making import Maker, Measured
from shipfit.quantize.stages import Stage


class Cancelled(BaseException):
    """Ctrl-C."""


def maker(monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, BaseException | None]) -> Maker:
    """One whose candidates come out as told: measured, or with an error."""
    inputs = SimpleNamespace(pipeline=SimpleNamespace(name="demo"), source=lambda _: done.append("fetched"))
    cluster = SimpleNamespace(cancel=lambda: done.append("cancelled"))
    done: list[str] = []

    def make(_maker: Maker, candidate: Candidate, *_arguments: object) -> Measured:
        if error := outcomes[candidate.fingerprint]:
            raise error
        files = [FileEntry(path="model.safetensors", bytes=1, sha256="e" * 64)]
        staged = Staged(name="demo", fingerprint=candidate.fingerprint, upload="d" * 32, files=files)
        return Measured(staged, gate.Evidence())

    monkeypatch.setattr(Maker, "_make", make)
    monkeypatch.setattr(Maker, "_require_room", lambda *_: done.append("room?"))
    monkeypatch.setattr(Maker, "_require_disk", lambda *_: done.append("disk?"))
    made = Maker(cast("Any", inputs), cast("Any", None), cast("Any", cluster), NoProgress())
    made.done = done  # type: ignore[attr-defined]
    return made


def made_of(maker: Maker, fingerprints: list[str]) -> dict[str, Measured | ShipfitError]:
    candidates = [SimpleNamespace(fingerprint=each, label=each[:1]) for each in fingerprints]
    return maker.make_all(cast("Any", candidates), cast("Any", dict.fromkeys(fingerprints)))


A, B = "a" * 64, "b" * 64
LOST = EnvironmentFailure("quantizing failed: its node was lost")


def test_of_several_one_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_of(maker(monkeypatch, {A: LOST, B: None}), [A, B])
    assert made[A] is LOST
    assert isinstance(made[B], Measured)


def test_ctrl_c_ends_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = maker(monkeypatch, {A: Cancelled(), B: None})
    with pytest.raises(Cancelled):
        made_of(interrupted, [A, B])
    assert interrupted.done[-1] == "cancelled"  # type: ignore[attr-defined]


def test_disks_have_room_before_the_source_comes_and_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that takes the room is found out before hours of work, and one that nothing has room for before it."""
    one = maker(monkeypatch, {A: None})
    made_of(one, [A])
    assert one.done == ["room?", "disk?", "fetched", "disk?"]  # type: ignore[attr-defined]


def test_the_log_of_a_stage_that_failed_outlives_the_machine(tmp_path: Path) -> None:
    bucket, log, said = tmp_path / "bucket", tmp_path / "quantize.log", []
    bucket.mkdir()
    log.write_text("Traceback: the last words")

    class Heard(NoProgress):
        def note(self, text: str) -> None:
            said.append(text)

    def run(_stage: Stage, _progress: Progress) -> None:
        raise LOST

    stage = Stage("quantizing", "x", Accelerator.CPU, Path(), Path(), {}, log)
    inputs = SimpleNamespace(pipeline=SimpleNamespace(name="demo", store=bucket.as_uri()))
    candidate = cast("Any", SimpleNamespace(fingerprint=A, recipe=None))
    with open_store(bucket.as_uri(), NoProgress()) as store:
        made = Maker(cast("Any", inputs), store, cast("Any", SimpleNamespace(run=run)), Heard())
        with pytest.raises(EnvironmentFailure, match="its node was lost"):
            made._run("quantize", stage, candidate, made.progress)
    assert said == [f"the end of its log is kept as {bucket.as_uri()}/demo/work/{A}/logs/quantize.log"]
    assert (bucket / "demo" / "work" / A / "logs" / "quantize.log").read_text() == log.read_text()
