"""Keeps one deployment running: a process of its own, ``python -m shipfit.serve.supervisor FOLDER``.

It starts what launch.json says, watches it, and writes status.json. On SIGTERM it lets the router finish the requests
in flight, then ends the replicas; a second SIGTERM skips the waiting. Killed without warning, it takes everything
with it: each process gets SIGTERM from the kernel then, and a later ``up`` or ``down`` ends what ignored that.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from pathlib import Path

from shipfit.core import locks, log
from shipfit.core.errors import EnvironmentFailure, ExitCode, ShipfitError
from shipfit.serve.arguments import DRAIN_S, SHUTDOWN_TIMEOUT_S
from shipfit.serve.child import Child
from shipfit.serve.folder import ROUTER, DeploymentState, DeploymentStatus, Folder, Launch
from shipfit.serve.sessions import Session

_TICK_S = 0.1
_MARGIN_S = 5.0
_ACTIVE = re.compile(r"downstream_rq_active: (\d+)")
_logger = logging.getLogger("shipfit.supervisor")


class Supervisor:
    """The loop.

    Args:
        folder: the deployment's folder, which is also the working folder.
        launch: what to run.
    """

    def __init__(self, folder: Folder, launch: Launch) -> None:
        own = Session.of(os.getpid())
        if own is None:
            raise EnvironmentFailure("this process cannot see itself in /proc", hint="mount /proc")
        self._folder = folder
        self._launch = launch
        self._replicas = [self._child(each.name) for each in launch.replicas]
        self._router = self._child(ROUTER)
        self._status = DeploymentStatus(
            state="starting",
            since=time.time(),
            supervisor=own,
            children=[child.status for child in self._children],
        )
        self._written = ""
        self._signals = 0

    def run(self) -> ExitCode:
        """Run until SIGTERM, or until nothing can be served any more."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._launch.temporary.mkdir(mode=0o700, exist_ok=True)
        try:
            for child in self._children:
                child.start()
                self._write()
            while not self._signals and self._status.state != "failed":
                for child in self._children:
                    child.tick()
                self._judge()
                self._write()
                time.sleep(_TICK_S)
        except ShipfitError as error:
            self._fail(str(error), None)
        finally:
            self._stop()
        return ExitCode.ENVIRONMENT if self._status.state == "failed" else ExitCode.YES

    @property
    def _children(self) -> list[Child]:
        return [self._router, *self._replicas]

    def _child(self, name: str) -> Child:
        launches = {each.name: each for each in (self._launch.router, *self._launch.replicas)}
        return Child(launches[name], self._folder.log(name), self._launch.temporary)

    def _on_signal(self, *_: object) -> None:
        self._signals += 1

    def _judge(self) -> None:
        """The state of the whole, from the states of its parts."""
        failed = [child for child in self._children if child.state == "failed"]
        fatal = self._status.state == "starting" or self._router in failed
        if failed and (fatal or all(child in failed for child in self._replicas)):
            self._fail(f"{failed[0].launch.name} {failed[0].status.note}", failed[0].log)
        elif all(child.state == "ready" for child in self._children):
            self._enter("ready")
        elif self._status.state != "starting":
            self._enter("degraded")

    def _fail(self, why: str, log_file: Path | None) -> None:
        self._status.note = why
        self._status.failed_log = log_file
        self._enter("failed")

    def _enter(self, state: DeploymentState) -> None:
        if state != self._status.state:
            self._status.state = state
            self._status.since = time.time()
            _logger.warning("%s %s", state, self._status.note)

    def _stop(self) -> None:
        failed = self._status.state == "failed"
        if not failed:
            self._enter("stopping")
            self._write()
            self._drain()
        self._router.ask_to_end()
        self._router.end(time.monotonic() + _MARGIN_S)
        patience = 0.0 if failed or self._signals > 1 else SHUTDOWN_TIMEOUT_S + _MARGIN_S
        for child in self._replicas:
            child.ask_to_end()
        deadline = time.monotonic() + patience
        for child in self._replicas:
            child.end(deadline)
        self._launch.discard_temporary()
        if not failed:
            self._enter("stopped")
        self._write()

    def _drain(self) -> None:
        """Take no new connections, and wait until no request is in flight."""
        self._router.ask("POST", "/drain_listeners")
        deadline = time.monotonic() + DRAIN_S
        while self._signals < 2 and time.monotonic() < deadline:
            active = _ACTIVE.search(self._router.ask("GET", "/stats?filter=http.public.downstream_rq_active"))
            if active is None or active[1] == "0":
                return
            time.sleep(_TICK_S)

    def _write(self) -> None:
        now = self._status.model_dump_json()
        if now != self._written:
            self._written = now
            self._folder.write_status(self._status)
            for child in self._children:
                _logger.debug("%s %s %s", child.launch.name, child.state, child.status.note)


def main(path: Path) -> ExitCode:
    """Supervise the deployment of a folder."""
    folder = Folder(path)
    _log_to(folder.log("supervisor"))
    launch = folder.launch()
    if launch is None:
        _logger.error("there is no launch.json in %s", path)
        return ExitCode.BAD_INPUT
    os.chdir(path)
    with locks.exclusive(path / "supervisor.lock"):
        return Supervisor(folder, launch).run()


def _log_to(file: Path) -> None:
    """Whoever started us may end before us, and with it the pipe that it gave us."""
    file.parent.mkdir(exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    log.configure(as_json=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
