"""Before a router's pod ends: ``python -m shipfit.serve.pod.drain --least SECONDS --limit SECONDS``.

Its health fails at once, so that Services and load balancers send nothing new, and answers close their connections.
It takes requests all the same, as some still come until everybody has heard of it (``--least``), and ends when none
is in flight any more, or after ``--limit``.
"""

from __future__ import annotations

import argparse
import http.client
import re
import sys
import time
from contextlib import closing

from shipfit.core.errors import EnvironmentFailure, ExitCode
from shipfit.serve.pod import program

ADMIN_PORT = 9901
"""Envoy's administration in a router's pod, on loopback."""

_ACTIVE = re.compile(r"downstream_rq_active: (\d+)")
_POLL_S = 0.5
_TIMEOUT_S = 10.0


def drain(admin: int, least: float, limit: float) -> None:
    """Fail the router's health, and wait until it may end.

    Args:
        admin: the port of Envoy's administration.
        least: seconds to wait in any case.
        limit: seconds after which it may end whatever it does; counted from the beginning, like ``least``.

    Raises:
        EnvironmentFailure: Envoy does not answer.
    """
    begun = time.monotonic()
    _ask(admin, "POST", "/healthcheck/fail")
    time.sleep(min(least, limit))
    while _in_flight(admin) and time.monotonic() - begun < limit:
        time.sleep(_POLL_S)


def _in_flight(admin: int) -> int:
    active = _ACTIVE.search(_ask(admin, "GET", "/stats?filter=http.public.downstream_rq_active"))
    return int(active[1]) if active else 0


def _ask(admin: int, method: str, target: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", admin, timeout=_TIMEOUT_S)) as connection:
        try:
            connection.request(method, target)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise EnvironmentFailure(f"Envoy does not answer on port {admin}: {error}") from error


def main(words: list[str]) -> ExitCode:
    """Drain the router of this pod; returns the exit code."""
    parser = argparse.ArgumentParser(prog="shipfit.serve.pod.drain", description=__doc__)
    parser.add_argument("--admin", type=int, default=ADMIN_PORT, help="port of Envoy's administration")
    parser.add_argument("--least", type=float, required=True, help="seconds to wait in any case")
    parser.add_argument("--limit", type=float, required=True, help="seconds to wait at most")
    given = parser.parse_args(words)
    return program.run("drain", lambda: drain(given.admin, given.least, given.limit))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
