"""The liveness script of replicas, run as kubelet runs it, against a server that answers as vLLM does."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "helm" / "llm-serving" / "files" / "engine_alive.py"
METRICS = (
    Path(__file__).with_name("vllm_metrics.txt").read_text()
)  # of vLLM 0.32.0, as far as the chart reads them
STALLED_SECONDS = 0.05


@dataclass
class Engine:
    """What the server says of itself.

    Attributes:
        port: on loopback.
        steps: that the engine has made.
        running: requests that the engine knows of, as of its last step.
        load: requests in flight at the server.
        gives_tokens: whether a completion is answered.
        answers: whether anything is.
        asked: the completions that it was asked for.
    """

    port: int = 0
    steps: int = 0
    running: int = 0
    load: int = 0
    gives_tokens: bool = True
    answers: bool = True
    asked: list[dict[str, object]] = field(default_factory=list)

    def metrics(self) -> str:
        """vLLM's page, with these figures."""
        page = METRICS
        for name, value in {
            "vllm:iteration_tokens_total_count": self.steps,
            "vllm:num_requests_running": self.running,
        }.items():
            page, found = re.subn(rf"^({name}{{.*}}) .*$", rf"\1 {value:.1f}", page, flags=re.MULTILINE)
            assert found == 1, f"vLLM's metrics have no {name}"
        return page


@pytest.fixture
def engine() -> Iterator[Engine]:
    state = Engine()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = json.dumps({"server_load": state.load}) if self.path == "/load" else state.metrics()
            self.reply(200 if state.answers else 503, page)

        def do_POST(self) -> None:
            state.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.reply(200 if state.gives_tokens else 500, "{}")

        def reply(self, status: int, page: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        server.shutdown()
        thread.join()


class Probe:
    """The script with its state, as in one pod."""

    def __init__(self, state: Path, port: int) -> None:
        self.state, self.port = state, port

    def look(self) -> tuple[bool, str]:
        """Whether it finds the engine alive, and what it says."""
        words = (sys.executable, "-I", SCRIPT, "--model", "tiny", "--stalled-seconds", str(STALLED_SECONDS))
        place = ("--port", str(self.port), "--state", self.state)
        environment = {"http_proxy": "http://127.0.0.1:1", "PATH": ""}
        done = subprocess.run(
            [*words, *place], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.stderr == ""
        return done.returncode == 0, done.stdout

    def look_later(self) -> tuple[bool, str]:
        """The same when more than the time that an engine may stand still has gone by."""
        time.sleep(2 * STALLED_SECONDS)
        return self.look()


@pytest.fixture
def probe(engine: Engine, tmp_path: Path) -> Probe:
    return Probe(tmp_path / "state.json", engine.port)


def test_an_idle_engine_is_alive_and_left_alone(engine: Engine, probe: Probe) -> None:
    assert probe.look() == (True, "")
    assert probe.look_later() == (True, "")
    assert probe.look_later() == (True, "")
    assert engine.asked == []


def test_an_engine_that_makes_steps_is_alive(engine: Engine, probe: Probe) -> None:
    engine.running = engine.load = 4
    for _ in range(3):
        engine.steps += 1
        assert probe.look_later() == (True, "")
    assert engine.asked == []


def test_an_engine_that_hangs_with_requests_running_is_dead(engine: Engine, probe: Probe) -> None:
    engine.running = engine.load = 4
    engine.steps = 100
    engine.gives_tokens = False
    assert probe.look()[0]  # nothing to compare with yet
    assert probe.look()[0]  # not for long enough yet
    alive, words = probe.look_later()
    assert not alive
    assert re.fullmatch(r"the engine shows no sign of life for \d+ s: with 4 requests in flight .*\n", words)


def test_an_engine_that_hangs_in_its_first_step_is_dead(engine: Engine, probe: Probe) -> None:
    assert probe.look()[0]
    engine.load = 1  # taken by the server; the engine has not said yet that it runs
    engine.gives_tokens = False
    assert probe.look()[0]
    assert not probe.look_later()[0]


def test_a_client_that_reads_slowly_kills_nobody(engine: Engine, probe: Probe) -> None:
    engine.load = 1
    for _ in range(3):
        assert probe.look_later() == (True, "")
    assert engine.asked[-1] == {"model": "tiny", "prompt": "1", "max_tokens": 1}


def test_an_engine_that_goes_on_is_alive_again(engine: Engine, probe: Probe) -> None:
    engine.load, engine.gives_tokens = 1, False
    probe.look()
    probe.look()
    engine.steps += 1
    assert probe.look_later()[0]
    assert probe.look()[0]  # the time counts anew


def test_work_that_comes_after_a_pause_is_given_its_time(engine: Engine, probe: Probe) -> None:
    probe.look()
    time.sleep(2 * STALLED_SECONDS)
    engine.load, engine.gives_tokens = 1, False
    assert probe.look()[0]


@pytest.mark.parametrize("status", ["refused", "failing"])
def test_a_server_that_does_not_answer_is_dead_after_a_while(
    status: str, engine: Engine, probe: Probe
) -> None:
    assert probe.look()[0]
    if status == "failing":
        engine.answers = False
    else:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            probe.port = unused.getsockname()[1]
    assert probe.look()[0]
    alive, words = probe.look_later()
    assert not alive
    assert "its server does not answer" in words


def test_counters_that_start_anew_are_a_sign_of_life(engine: Engine, probe: Probe) -> None:
    engine.steps, engine.load, engine.gives_tokens = 1000, 4, False
    probe.look()
    probe.look()
    engine.steps = 3
    assert probe.look_later()[0]


def test_what_was_seen_of_another_start_does_not_count(engine: Engine, probe: Probe) -> None:
    engine.answers = False
    probe.look()
    seen = json.loads(probe.state.read_text())
    probe.state.write_text(json.dumps({**seen, "process": "of another start", "since": 0.0}))
    assert probe.look_later()[0]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"steps": 1}'])
def test_a_broken_state_file_is_begun_anew(content: str, engine: Engine, probe: Probe) -> None:
    probe.state.write_text(content)
    assert probe.look()[0]
    assert json.loads(probe.state.read_text())["steps"] == 0.0
