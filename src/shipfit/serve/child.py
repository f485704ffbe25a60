"""One supervised process: started, watched, started anew when it dies.

| it | then |
|---|---|
| answers its health check | `ready` |
| stops answering, but lives | `unhealthy`; after UNRESPONSIVE_S it is ended as if it had died |
| dies, having been ready | the rest of its session is killed; `restarting` after 1, 2, 4 ... 30 s |
| dies before it was ever ready | `failed`: what is wrong will be wrong the next time |
| dies ATTEMPTS times in a row before it is ready again | `failed` |
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process, child_environment, describe_exit
from shipfit.serve import sessions
from shipfit.serve.folder import ChildLaunch, ChildState, ChildStatus
from shipfit.serve.logs import cause, take_figures
from shipfit.serve.unix_http import request

ATTEMPTS = 5
UNRESPONSIVE_S = 60.0  # a replica on few cores may be late with an answer, never this late
STABLE_S = 60.0  # ready for so long, it begins anew with the shortest wait
START_LIMIT_S = 1800.0  # reading the largest models from a slow disk takes minutes; half an hour is a hang
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_PROBE_EVERY_S = 0.5
_PROBE_TIMEOUT_S = 2.0


class Child:
    """A process under supervision. Times are of the monotonic clock, in seconds.

    Args:
        launch: what to run.
        log: its log.
        temporary: the folder for its temporary files.
    """

    def __init__(self, launch: ChildLaunch, log: Path, temporary: Path) -> None:
        self.launch = launch
        self.log = log
        self.status = ChildStatus(name=launch.name)
        self._env = child_environment({**launch.env, "TMPDIR": str(temporary)})
        self._process: Process | None = None
        self._started = 0.0
        self._answered = 0.0
        self._ready_since: float | None = None
        self._was_ready = False
        self._unready_deaths = 0
        self._deaths = 0
        self._start_at = 0.0
        self._next_probe = 0.0
        self._log_offset = 0

    @property
    def state(self) -> ChildState:
        """As in its status."""
        return self.status.state

    def start(self) -> None:
        """Start it; called from the thread that lives as long as it shall."""
        Path(self.launch.socket).unlink(missing_ok=True)
        self._log_offset = self.log.stat().st_size if self.log.exists() else 0
        self._process = Process(
            self.launch.argv,
            env=self._env,
            log=self.log,
            on_line=lambda line: take_figures(line, self.status.figures),
        )
        self._started = self._answered = time.monotonic()
        self._ready_since = None
        self.status.session = sessions.Session.of(self._process.pid)
        self._enter("starting")

    def tick(self) -> None:
        """Look at it once, and do what has to be done."""
        now = time.monotonic()
        if self.state == "restarting" and now >= self._start_at:
            self.status.restarts += 1
            try:
                self.start()
            except EnvironmentFailure as error:
                self._died(now, str(error))
        elif self._process and (code := self._process.returncode) is not None:
            self._bury()  # first, for only then its log is whole
            self._died(now, self._last_words(code))
        elif self._process and now >= self._next_probe:
            self._next_probe = now + _PROBE_EVERY_S
            self._probe(now)

    def ask_to_end(self) -> None:
        """SIGTERM to the process alone: it ends its own children when the last request is answered."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait for its end until ``deadline``, then kill all of its session."""
        while self._process and self._process.returncode is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self._bury()
        if self.state != "failed":
            self._enter("stopped")

    def ask(self, method: str, target: str) -> str:
        """Send it a request; what it answers, empty where it does not."""
        answer = request(self.launch.socket, method, target, _PROBE_TIMEOUT_S)
        return answer[1] if answer else ""

    def _probe(self, now: float) -> None:
        if self._answers():
            self._answered = now
            if self._ready_since is None:
                self._ready_since = now
                self._was_ready = True
                self._unready_deaths = 0
            if self.state != "ready":
                self._enter("ready")
            if now - self._ready_since > STABLE_S:
                self._deaths = 0
        elif self._ready_since is None:
            if now - self._started > START_LIMIT_S:
                self._died(now, f"was not ready within {START_LIMIT_S:.0f} s")
        elif now - self._answered > UNRESPONSIVE_S:
            self._died(now, f"did not answer for {UNRESPONSIVE_S:.0f} s")
        elif self.state == "ready" and now - self._answered > 2 * _PROBE_TIMEOUT_S:
            self._enter("unhealthy", "does not answer its health check")

    def _answers(self) -> bool:
        answer = request(self.launch.socket, "GET", self.launch.health, _PROBE_TIMEOUT_S)
        return answer is not None and answer[0] == HTTPStatus.OK

    def _died(self, now: float, why: str) -> None:
        self._bury()
        self._deaths += 1
        self._unready_deaths += self._ready_since is None
        self._ready_since = None
        if self._unready_deaths >= (ATTEMPTS if self._was_ready else 1):
            self._enter("failed", why)
        else:
            self._start_at = now + _WAITS_S[min(self._deaths, len(_WAITS_S)) - 1]
            self._enter("restarting", why)

    def _last_words(self, code: int) -> str:
        return f"{describe_exit(code)}: {cause(self.log, self._log_offset)}"

    def _bury(self) -> None:
        """End whatever is left of it: vLLM's engine may outlive the server that started it."""
        if self._process:
            self._process.stop(0)
        if self.status.session:
            sessions.kill([self.status.session])
        self._process = None
        self.status.session = None

    def _enter(self, state: ChildState, note: str = "") -> None:
        self.status.state = state
        self.status.note = note
        self.status.since = time.time()
