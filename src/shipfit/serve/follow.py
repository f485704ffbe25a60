"""Staying with the logs of a deployment."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure
from shipfit.serve.folder import Folder

_POLL_S = 0.2


def follow_logs(name: str) -> None:
    """Print what the processes of a deployment log from now on, each line with the process's name in front.

    Returns when the deployment was stopped.

    Raises:
        EnvironmentFailure: the deployment failed.
    """
    folder = Folder.of(name)
    positions = {log: log.stat().st_size for log in folder.logs.glob("*.log")}
    while True:
        seen = folder.status()
        for log in sorted(folder.logs.glob("*.log")):
            positions[log] = _print_new(log, positions.get(log, 0))
        if seen and seen.state == "failed":
            raise EnvironmentFailure(f"{name}: {seen.note}", log=seen.failed_log)
        if seen is None or seen.state == "stopped" or not seen.supervisor.leader_lives():
            return
        time.sleep(_POLL_S)


def _print_new(log: Path, position: int) -> int:
    """Print the whole lines after ``position``; returns where they end."""
    if log.stat().st_size < position:  # it was begun anew
        position = 0
    with log.open("rb") as stream:
        stream.seek(position)
        new = stream.read()
    whole = new[: new.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        sys.stdout.write(f"{log.stem:<10} | {line}\n")
    sys.stdout.flush()
    return position + len(whole)
