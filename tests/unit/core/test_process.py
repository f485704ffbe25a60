from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from shipfit.core import process
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process
from tests.waiting import eventually


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_run_hands_lines_on_and_returns_the_last(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "logs" / "a.log"
    tail = process.run(python("print('one'); print('two')"), doing="counting", on_line=lines.append, log=log)
    assert tail == ["one", "two"] == lines
    assert log.read_text() == "one\ntwo\n"


def test_the_last_words_of_what_has_ended_are_whole_though_they_are_read_late() -> None:
    with Process(python("print('one'); print('two')"), on_line=lambda _: time.sleep(0.3)) as late:
        eventually(lambda: late.returncode is not None)
        assert ["one", "two"] == late.tail


def test_what_it_started_is_logged_when_it_has_ended_itself(tmp_path: Path) -> None:
    go, log = tmp_path / "go", tmp_path / "log"
    code = f"until [ -e {go} ]; do sleep 0.05; done; echo late; sleep 60"
    with Process(["sh", "-c", f"({code}) & echo early"], log=log) as started:
        assert started.wait() == 0
        go.touch()
        eventually(lambda: log.read_text() == "early\nlate\n")
        assert ["early", "late"] == started.tail


def test_a_failure_says_what_was_being_done_and_the_last_error() -> None:
    code = "import sys; print('Error: no such model'); print('bye'); sys.exit(7)"
    with pytest.raises(
        EnvironmentFailure, match=r"loading failed: .* ended with code 7: Error: no such model"
    ):
        process.run(python(code), doing="loading")


def test_a_kill_is_told_from_an_exit() -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    with pytest.raises(EnvironmentFailure, match="killed by SIGKILL"):
        process.run(python(code), doing="loading")


def test_a_missing_program_is_named() -> None:
    with pytest.raises(EnvironmentFailure, match="no-such-program"):
        process.run(["no-such-program"], doing="trying")


def test_leaving_the_block_ends_the_whole_family() -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with Process(python(code)) as running:
        eventually(lambda: running.tail)
        child = int(running.tail[0])
        assert not gone(child)
    eventually(lambda: gone(child))
    assert gone(running.pid)


def test_a_deaf_program_is_killed_after_its_grace() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    with Process(python(code), grace=0.3) as running:
        eventually(lambda: running.tail)
        running.stop()
        assert running.returncode == -signal.SIGKILL


@pytest.mark.parametrize("survives", [False, True])
def test_a_child_outlives_a_killed_parent_only_when_asked(survives: bool, tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path; from shipfit.core.process import Process\n"
        f"child = Process(['sleep', '60'], survives_us={survives}, log=Path({str(tmp_path / 'log')!r}))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with Process(python(code)) as parent:
        eventually(lambda: parent.tail)
        child = int(parent.tail[0])
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        try:
            if survives:
                time.sleep(0.5)
                assert not gone(child)
            else:
                eventually(lambda: gone(child), 5)
        finally:
            if survives:
                os.kill(child, signal.SIGKILL)


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 1000)
    log = tmp_path / "a.log"
    process.run(python("for i in range(500): print(f'{i:09d}')"), doing="chatting", log=log)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]
    assert log.stat().st_size <= 1010
    assert log.read_text().endswith("000000499\n")


def test_a_log_that_cannot_be_rotated_costs_no_line_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 1000)
    (tmp_path / "a.log.1").mkdir()
    code = "for i in range(500): print(f'{i:09d}')"
    lines: list[str] = []
    process.run(python(code), doing="chatting", log=tmp_path / "a.log", on_line=lines.append)
    assert 500 == len(lines)


def test_other_environments_do_not_inherit_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = process.child_environment({"OMP_NUM_THREADS": "1"})
    assert environment["OMP_NUM_THREADS"] == "1"
    assert {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}.isdisjoint(environment)


def test_standard_input_and_error_have_ways_of_their_own(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys; print(sys.stdin.read()); print('aside', file=sys.stderr)"
    log = tmp_path / "log"
    with Process(python(code), stdin=b"hello", merge=False, on_line=lines.append, log=log) as running:
        assert running.wait(10) == 0
    assert lines == ["hello"]
    assert sorted(log.read_text().split()) == ["aside", "hello"]
