"""The process that keeps the embedded store while anybody uses it: ``python -m shipfit.artifacts.keeper WEED``.

Every user of the store holds the users' lock together with the others; the kernel takes it from a user that ends,
however it ends. The keeper runs SeaweedFS as its child and stops it when it can hold that lock alone. It answers to
nobody: the command that started it may be long gone. SeaweedFS dies with the keeper by its parent-death signal.

Stopping is a kill after a moment: on SIGTERM SeaweedFS waits 15 s for streams of its own. What was answered was
written by then, and survives (tests/integration/artifacts/test_embedded.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from shipfit.artifacts import running, weed
from shipfit.core import locks
from shipfit.core.errors import EnvironmentFailure, ExitCode, ShipfitError
from shipfit.core.process import Process, describe_exit, last_words

READY_WITHIN = 60.0
"""Seconds that SeaweedFS may take to start; it takes 3 on an idle machine."""

_UNUSED_FOR = 1.0
"""Seconds without a user before the store is stopped: the next command of a script often follows at once."""

_PROBE = "store.json"
_POLL = 0.1
_STOP_GRACE = 0.3
_TRIES = 3  # another program may take a port between our choosing and SeaweedFS's binding it


def main() -> int:
    """Start the store, and return when it is ready or cannot be; a process of its own keeps it from then on.

    Returns:
        An exit code; the reason of a failure is on standard output.
    """
    program = Path(sys.argv[1])
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _leave_the_terminal()
        _keep(program, writer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        error = answer.read()
    if error != "ready":
        print(error or "its keeper died")  # noqa: T201 - the starter reads it
        return ExitCode.ENVIRONMENT
    return ExitCode.YES


def _leave_the_terminal() -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _keep(program: Path, writer: int) -> None:
    def answer(text: str) -> None:
        with suppress(OSError):  # who asked may be gone
            os.write(writer, text.encode())
            os.close(writer)

    try:
        for tries_left in reversed(range(_TRIES)):
            ports = weed.free_ports()
            try:
                _serve(program, ports, answer)
            except _EndedEarly as error:
                if not tries_left:
                    raise EnvironmentFailure(str(error)) from error
            else:
                return
    except ShipfitError as error:
        answer(str(error))
    except KeyboardInterrupt:
        answer("it was told to stop")
    except Exception as error:  # noqa: BLE001 - nobody else is there to say it
        answer(f"{type(error).__name__}: {error}")


class _EndedEarly(Exception):
    """SeaweedFS ended before it was ready."""


def _serve(program: Path, ports: dict[str, int], answer: Callable[[str], None]) -> None:
    """Run SeaweedFS until nobody uses it."""
    folder = running.folder()
    weed.credentials(folder)
    # The master's own state is useless on other ports; what volumes and names there are is found anew.
    for stale in (folder / "objects").glob("m[0-9]*"):
        shutil.rmtree(stale)
    (folder / "objects").mkdir(exist_ok=True)
    process = Process(
        weed.arguments(program, folder, ports),
        env={"HOME": str(folder), "PATH": os.environ.get("PATH", "")},  # no settings of other SeaweedFS or S3
        cwd=folder,
        log=running.log_file(),
        grace=_STOP_GRACE,
        death_signal=signal.SIGKILL,
    )
    try:
        with process:
            _wait_until_ready(process, ports)
            running.write(running.Running(running.Ran.of(os.getpid()), running.Ran.of(process.pid), ports))
            answer("ready")
            _wait_until_unused(process)
    finally:
        weed.remove_leftovers(folder, ports)


def _wait_until_ready(process: Process, ports: dict[str, int]) -> None:
    """Wait until an object can be read back; makes the bucket at the first start.

    Raises:
        _EndedEarly: SeaweedFS ended.
        EnvironmentFailure: it was not ready in time.
    """
    objects = running.objects(ports)
    deadline = time.monotonic() + READY_WITHIN
    reason = "its port does not answer"
    while time.monotonic() < deadline:
        if process.returncode is not None:
            raise _EndedEarly(f"SeaweedFS {describe_exit(process.returncode)}: {last_words(process.tail)}")
        try:
            socket.create_connection((weed.ADDRESS, ports["s3"]), timeout=1).close()
            objects.create(_PROBE, b"{}", "starting")
            if objects.read(_PROBE, "starting"):
                return
        except ConnectionRefusedError:
            time.sleep(_POLL)
        except EnvironmentFailure as error:
            reason = error.message
            time.sleep(_POLL)
    raise EnvironmentFailure(f"it was not ready within {READY_WITHIN:g} s: {reason}")


def _wait_until_unused(process: Process) -> None:
    """Return when nobody uses the store any more, holding the lock that keeps new users out, or when it died."""
    unused_since: float | None = None
    while process.returncode is None:
        with locks.exclusive_at_once(running.users_lock()) as alone:
            now = time.monotonic()
            unused_since = (unused_since or now) if alone else None
            if unused_since is not None and now - unused_since >= _UNUSED_FOR:
                running.forget()
                process.stop()
                return
        time.sleep(_POLL)
    running.forget()


if __name__ == "__main__":
    sys.exit(main())
