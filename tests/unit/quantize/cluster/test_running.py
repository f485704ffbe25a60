"""A head that goes away: reported before Ray ends the process in its own way."""

from __future__ import annotations

import socket
import sys
import threading
from types import SimpleNamespace

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.quantize.cluster import running
from tests.waiting import eventually


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit codes that the process would have ended with; all waiting is short."""
    codes: list[int] = []
    monkeypatch.setattr(running, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(running, "_HEAD_SECONDS", 0.3)
    monkeypatch.setattr(running, "_GRACE_SECONDS", 0.5)
    monkeypatch.setattr(running.os, "_exit", codes.append)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    return codes


def test_a_head_that_is_gone_is_one_line(ended: list[int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        port = head.getsockname()[1]
        ray = running.RunningRay(f"127.0.0.1:{port}")
        threading.Event().wait(0.5)
        ray.check("quantizing")
    eventually(lambda: ray.lost, 10)
    with pytest.raises(
        EnvironmentFailure, match=rf"quantizing failed: the head .*, 127.0.0.1:{port}, has not answ"
    ):
        ray.check("quantizing")
    ray.stop()
    threading.Event().wait(0.7)
    assert ended == []


def test_who_cannot_be_woken_is_ended_with_the_right_code(
    ended: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        ray = running.RunningRay(f"127.0.0.1:{head.getsockname()[1]}")
    eventually(lambda: ended, 10)
    assert [3] == ended
    assert ray.lost
    assert capsys.readouterr().err.startswith("shipfit: the head of the Ray cluster, 127.0.0.1:")


def test_a_head_that_comes_back_in_time_is_not_lost(ended: list[int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        port = head.getsockname()[1]
        ray = running.RunningRay(f"127.0.0.1:{port}")
    threading.Event().wait(0.1)
    with socket.create_server(("127.0.0.1", port)):
        threading.Event().wait(0.6)
        ray.check("quantizing")
        ray.stop()
    assert not ray.lost
