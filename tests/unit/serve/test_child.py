"""Supervision of one process, with a small real one: a server on a Unix socket."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipfit.serve.child import Child
from shipfit.serve.folder import ChildLaunch, ChildState

SERVER = """
import http.server, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def address_string(self):
        return "client"
class Server(socketserver.UnixStreamServer):
    pass
Server("s.sock", Handler).serve_forever()
"""


def child(code: str, folder: Path) -> Child:
    launch = ChildLaunch(name="server", argv=[sys.executable, "-c", code], socket="s.sock", health="/health")
    return Child(launch, folder / "server.log", folder)


def tick_until(child: Child, state: ChildState, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while child.state != state:
        assert time.monotonic() < deadline, child.status
        child.tick()
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.chdir(tmp_path)
    server = child(SERVER, tmp_path)
    server.start()
    yield server
    server.end(time.monotonic())


def test_it_is_ready_when_it_answers_and_started_anew_when_it_dies(server: Child) -> None:
    tick_until(server, "ready")
    assert server.status.session is not None
    os.kill(server.status.session.pid, signal.SIGKILL)
    tick_until(server, "restarting")
    assert server.status.note.startswith("was killed by SIGKILL")
    tick_until(server, "ready")
    assert 1 == server.status.restarts
    server.ask_to_end()
    server.end(time.monotonic() + 5)
    assert "stopped" == server.state


def test_what_stops_answering_is_unhealthy_and_ready_again_when_it_answers(server: Child) -> None:
    tick_until(server, "ready")
    assert server.status.session is not None
    os.kill(server.status.session.pid, signal.SIGSTOP)
    tick_until(server, "unhealthy")
    os.kill(server.status.session.pid, signal.SIGCONT)
    tick_until(server, "ready")
    assert 0 == server.status.restarts


def test_what_dies_before_it_was_ready_has_failed_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failing = child("raise OSError('no such model')", tmp_path)
    failing.start()
    tick_until(failing, "failed")
    assert "ended with code 1: OSError: no such model" == failing.status.note
    assert 0 == failing.status.restarts
    failing.end(time.monotonic())
    assert "failed" == failing.state
