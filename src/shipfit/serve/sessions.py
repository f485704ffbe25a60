"""Finding again, and ending, all that a program started, even when the program itself is gone.

Every program that shipfit runs leads a session of its own, and what it starts stays in that session (vLLM's engine
processes do). The kernel gives a session's number to no other process while one of its members lives. So number,
start time and boot identify a session beyond doubt.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLOCK_S = 0.05  # start times are read with this precision


class Session(BaseModel):
    """A program that leads a session.

    Attributes:
        pid: its process id, which is the session's number.
        created: when it started, in seconds since 1970.
        boot: the machine's boot that ``pid`` is of.
    """

    pid: int
    created: float
    boot: str

    @classmethod
    def of(cls, pid: int) -> Session | None:
        """The session that the running program ``pid`` leads; None where it has ended already."""
        try:
            return cls(pid=pid, created=psutil.Process(pid).create_time(), boot=_boot())
        except psutil.NoSuchProcess:
            return None

    def leader_lives(self) -> bool:
        """Whether the program itself still runs."""
        if self.boot != _boot():
            return False
        try:
            process = psutil.Process(self.pid)
            return self._is_leader(process) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def members(self) -> list[psutil.Process]:
        """Every living process of the session."""
        if self.boot != _boot() or self._number_was_reused():
            return []
        return [process for process in psutil.process_iter() if self._has(process)]

    def _is_leader(self, process: psutil.Process) -> bool:
        return abs(process.create_time() - self.created) < _CLOCK_S

    def _number_was_reused(self) -> bool:
        try:
            return not self._is_leader(psutil.Process(self.pid))
        except psutil.NoSuchProcess:
            return False

    def _has(self, process: psutil.Process) -> bool:
        try:
            return (
                os.getsid(process.pid) == self.pid
                and process.create_time() >= self.created - _CLOCK_S
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except (psutil.Error, ProcessLookupError, PermissionError):
            return False


def kill(sessions: Iterable[Session], patience_s: float = 5.0) -> int:
    """End every process of the sessions at once, and wait until they are gone; returns how many there were."""
    found = {process.pid: process for session in sessions for process in session.members()}
    for process in found.values():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)  # psutil looks at the start time again first
    psutil.wait_procs(list(found.values()), timeout=patience_s)
    return len(found)


def resident_bytes(session: Session) -> int:
    """Memory that the session's processes hold; pages that several of them map are counted once between them."""
    total = 0
    for process in session.members():
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def wait_for_end(session: Session, timeout_s: float) -> bool:
    """Whether the session's leader ended within ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while session.leader_lives():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _boot() -> str:
    return _BOOT_ID.read_text().strip()
