from __future__ import annotations

import io
import json
import re

import pytest

from shipfit.core.progress import (
    JsonProgress,
    NoProgress,
    PlainProgress,
    ProgressStyle,
    TerminalProgress,
    make_progress,
    named,
)


def test_plain_lines_nest_and_are_throttled() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream, interval=60)
    with progress.step("quantize"):
        progress.update("layer 1", 0.1)
        progress.note("a note")
    lines = [re.sub(r"[\d.]+ s", "N s", line) for line in stream.getvalue().splitlines()]
    assert lines == ["quantize ...", "  a note", "quantize: done in N s"]


def test_plain_updates_show_a_share() -> None:
    stream = io.StringIO()
    PlainProgress(stream, interval=0).update("layer 1", 0.1)
    assert stream.getvalue() == "layer 1 (10%)\n"


def test_the_end_is_estimated_once_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = PlainProgress(stream, interval=0)
    with progress.step("quantize"):
        now = 3600.0  # of waiting for room
        progress.update("layer 1", 0.0)
        now += 5.0
        progress.update("layer 2", 0.1)
        now += 55.0
        progress.update("layer 3", 0.25)
        now += 540.0
        progress.update("layer 4", 0.5)
        progress.update("upload", 0.1)  # other work: its pace is its own
        now += 60.0
        progress.update("upload", 0.6)
    assert [line.strip() for line in stream.getvalue().splitlines()[1:7]] == [
        "layer 1 (0%)",
        "layer 2 (10%)",
        "layer 3 (25%, about 3 min left)",
        "layer 4 (50%, about 10 min left)",
        "upload (10%)",
        "upload (60%, about 48 s left)",
    ]


def test_who_comes_in_the_middle_estimates_by_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = named(PlainProgress(stream, interval=0), "fp8")
    progress.update("layer 9", 0.5)
    now = 36.0
    progress.update("layer 10", 0.51)
    now = 360.0
    progress.update("layer 11", 0.6)
    assert [line.strip() for line in stream.getvalue().splitlines()] == [
        "fp8: layer 9 (50%)",
        "fp8: layer 10 (51%)",
        "fp8: layer 11, about 24 min left (60%)",
    ]


def test_work_side_by_side_is_told_apart() -> None:
    stream = io.StringIO()
    progress = named(PlainProgress(stream, interval=0), "fp8")
    with progress.step("quantize"):
        progress.update("layer 1", 0.5)
    lines = [re.sub(r"[\d.]+ s", "N s", line) for line in stream.getvalue().splitlines()]
    assert lines == ["fp8: quantize ...", "fp8: layer 1 (50%)", "fp8: quantize: done in N s"]


def test_json_lines_tell_how_a_step_ended() -> None:
    stream = io.StringIO()
    progress = JsonProgress(stream)
    with pytest.raises(ValueError, match="x"), progress.step("gate"):
        progress.update("half", 0.5)
        raise ValueError("x")
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["begin", "update", "failed"]
    assert events[1]["fraction"] == 0.5


def test_the_style_follows_the_request_and_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    kinds = [type(make_progress(style)) for style in ProgressStyle]
    assert kinds == [PlainProgress, PlainProgress, JsonProgress, NoProgress]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert isinstance(make_progress(), TerminalProgress)


def test_a_terminal_keeps_a_line_for_each_finished_step(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    with progress.step("serve"), progress.step("replica 0"):
        progress.update("loading", 0.5)
        progress.note("a note")
    text = capsys.readouterr().err
    assert text.index("replica 0") < text.rindex("serve")
    assert "a note" in text
