"""A job's log becomes progress here, a result and an error, wherever the log is cut into pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.cluster.joblog import JobLog


class Heard:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.said.append(f"begin {title}")
        try:
            yield
        except Exception:
            self.said.append(f"failed {title}")
            raise
        self.said.append(f"end {title}")

    def update(self, text: str, fraction: float | None = None) -> None:
        self.said.append(f"update {text} {fraction}")

    def note(self, text: str) -> None:
        self.said.append(f"note {text}")


def event(kind: str, text: str, **more: Any) -> str:
    return json.dumps({"time": 1.5, "event": kind, "text": text, **more})


LINES = [
    "2026-11-24 18:17:22 INFO something of Ray's",
    event("begin", "quantize"),
    event("update", "layer 3", fraction=0.5),
    event("begin", "inner"),
    event("failed", "inner", seconds=1.0),
    event("note", "again"),
    event("end", "quantize", seconds=9.0),
    "{",
    '  "name": "tiny",',
    '  "gate": {',
    '    "passed": true',
    "  }",
    "}",
    "shipfit: the gate failed, nothing was published",
    "",
]
LOG = "\n".join(LINES)


@given(st.lists(st.integers(min_value=0, max_value=len(LOG)), max_size=20))
def test_the_log_may_be_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(LOG)]
    heard = Heard()
    with JobLog(heard) as log:
        for begin, end in pairwise(edges):
            log.feed(LOG[begin:end])
    assert {"name": "tiny", "gate": {"passed": True}} == log.result
    assert "the gate failed, nothing was published" == log.error
    assert LINES[0] == log.last_words
    assert len(LINES) - 1 == log.lines
    assert [
        "begin quantize",
        "update layer 3 0.5",
        "begin inner",
        "failed inner",
        "note again",
        "end quantize",
    ] == heard.said


def test_what_was_said_before_we_came_is_not_said_again() -> None:
    heard = Heard()
    with JobLog(heard, past=4) as log:
        log.feed(LOG)
    assert ["begin quantize", "begin inner", "failed inner", "note again", "end quantize"] == heard.said


def test_steps_that_a_dead_job_left_open_fail_with_it() -> None:
    heard = Heard()
    try:
        with JobLog(heard) as log:
            log.feed(event("begin", "quantize") + "\n")
            raise RuntimeError
    except RuntimeError:
        pass
    assert ["begin quantize", "failed quantize"] == heard.said
    assert log.result is None
    assert log.error is None
