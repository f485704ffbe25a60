"""Using the embedded store: started by the first command that needs it, ended after the last one by its keeper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from shipfit import environments
from shipfit.artifacts import running, weed
from shipfit.artifacts.reclaim import reclaim
from shipfit.artifacts.store import Store
from shipfit.core import locks, process
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import Progress


@contextmanager
def embedded_store(progress: Progress) -> Iterator[Store]:
    """The embedded store, running while the block runs.

    Raises:
        EnvironmentFailure: it could not be started.
    """
    program = environments.ensure("seaweedfs", progress=progress).program("weed")
    with locks.shared(running.users_lock()):
        with locks.exclusive(running.folder() / "start.lock"):
            found = running.read()
            if found is None or not found.alive:
                if found:
                    found.kill_remains()
                    weed.remove_leftovers(running.folder(), found.ports)
                found = _start(str(program), progress)
        yield Store(
            running.objects(found.ports),
            free=_free,
            reclaim=partial(reclaim, program, running.folder(), found.ports),
        )


def _start(program: str, progress: Progress) -> running.Running:
    if not (running.folder() / "objects").exists() and _free() <= 0:
        raise EnvironmentFailure(
            f"no space left on the disk for {running.LABEL} in {running.folder()}",
            hint="free some, or set SHIPFIT_DATA_DIR to another disk",
        )
    running.forget()
    with progress.step(f"starting {running.LABEL}"):
        process.run(
            process.python_module("shipfit.artifacts.keeper", program),
            doing=f"starting {running.LABEL}",
            log=running.log_file(),
        )
    started = running.read()
    if started is None:
        raise EnvironmentFailure(f"{running.LABEL} ended as soon as it was started", log=running.log_file())
    return started


def _free() -> int:
    """Bytes that may still be written."""
    return shutil.disk_usage(running.folder()).free - weed.RESERVE
