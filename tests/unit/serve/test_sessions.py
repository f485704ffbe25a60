from __future__ import annotations

import sys
import time

from shipfit.core.process import Process
from shipfit.serve import sessions
from shipfit.serve.sessions import Session

GRANDCHILD = (
    "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"
)


def started(code: str) -> Process:
    process = Process([sys.executable, "-c", code])
    while not process.tail:
        time.sleep(0.01)
    return process


def test_what_outlives_its_leader_is_found_and_ended() -> None:
    with started(GRANDCHILD) as process:
        session = Session.of(process.pid)
        assert session is not None
        assert session.leader_lives()
        assert 2 == len(session.members())
        assert sessions.resident_bytes(session) > 1e6
        (child,) = (each for each in session.members() if each.pid != process.pid)
        next(each for each in session.members() if each.pid == process.pid).kill()
        while session.leader_lives():
            time.sleep(0.01)
        assert [child] == session.members()
        assert 1 == sessions.kill([session])
        assert [] == session.members()


def test_a_number_that_another_process_has_now_is_left_alone() -> None:
    with started(GRANDCHILD) as process:
        session = Session.of(process.pid)
        assert session is not None
        earlier = session.model_copy(update={"created": session.created - 100})
        assert not earlier.leader_lives()
        assert [] == earlier.members()
        assert [] == session.model_copy(update={"boot": "another"}).members()
        assert 0 == sessions.kill([earlier])
        assert session.leader_lives()


def test_the_end_is_waited_for_so_long_and_no_longer() -> None:
    with started("import time; print('up', flush=True); time.sleep(0.5)") as process:
        session = Session.of(process.pid)
        assert session is not None
        assert not sessions.wait_for_end(session, 0.1)
        assert sessions.wait_for_end(session, 5)
    assert Session.of(process.pid) is None
