"""``shipfit quantize`` as a job of a cluster elsewhere, through the Jobs API of Ray's dashboard.

The job is the very same command, run on a machine of the cluster; this end sends the files, shows the job's progress as
its own, and ends as the job ends. A job is named after its pipeline and what was sent: while one runs, the same command
attaches to it, and after it the next one has a number more.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from shipfit.core.errors import (
    EnvironmentFailure,
    ExitCode,
    InputError,
    MeasurementError,
    ShipfitError,
    VerdictError,
)
from shipfit.core.process import describe_exit
from shipfit.core.progress import Progress
from shipfit.quantize.cluster.common import configure, one_line, require_ray
from shipfit.quantize.cluster.joblog import JobLog
from shipfit.quantize.cluster.parcel import Parcel, pack, variables
from shipfit.spec import Pipeline

_STOP_SECONDS = 60
"""For a job to end its stages and itself when it is stopped; then Ray kills it."""

_LOST_SECONDS = 120.0
"""How long a cluster that does not answer is asked again: its head may be starting anew."""

_POLL_SECONDS = 2.0

_PAUSES = (1.0, 5.0, 15.0)
"""Seconds between tries of one call."""

_KINDS: dict[int, type[ShipfitError]] = {
    ExitCode.NO: VerdictError,
    ExitCode.BAD_INPUT: InputError,
    ExitCode.ENVIRONMENT: EnvironmentFailure,
    ExitCode.UNTRUSTED: MeasurementError,
}

# Exit codes of a POSIX shell, which is what starts a job's command.
_NO_SUCH_COMMAND = 127
_SIGNALLED = 128

_AGAIN = "run the command again; what is finished is kept"


def run_job(address: str, pipeline: Pipeline, progress: Progress) -> dict[str, Any]:
    """Run a pipeline as a job and return the facts that it prints; attaches to a job of the same that runs already.

    Args:
        address: of the cluster's dashboard.
        pipeline: read from a file.
        progress: told what the job tells.

    Raises:
        ShipfitError: the job's own error, of the same kind and with the same line; or the cluster does not answer.
        KeyboardInterrupt: this end was interrupted, and the job was stopped.
    """
    require_ray()
    parcel = pack(pipeline)
    client = _client(address)
    try:
        job, past = _running(client, _prefix(pipeline, parcel)), 0
        if job:
            past = client.get_job_logs(job).count("\n")
            progress.note(f"job {job} runs already: attached to it")
        else:
            job = _submit(client, pipeline, parcel, progress)
        with JobLog(progress, past) as log:
            try:
                status, code = asyncio.run(_follow(client, job, log, progress))
            except KeyboardInterrupt:
                _stop(client, job, progress)
                raise
            return _outcome(job, status, code, log)
    except (RuntimeError, OSError) as error:  # what Ray makes of an answer that it did not expect, or of none
        raise EnvironmentFailure(f"the Ray cluster at {address} failed: {one_line(error)}") from error


def _client(address: str) -> Any:
    configure()
    from ray.job_submission import JobSubmissionClient

    # Ray tells of every step, and the modules of its client set loggers of their own to do so.
    for name in ("ray", *(kind.__module__ for kind in JobSubmissionClient.__mro__)):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as error:
        raise EnvironmentFailure(
            f"no Ray cluster answers at {address}: {one_line(error)}",
            hint="name its dashboard; in Kubernetes, kubectl port-forward service/NAME-head-svc 8265",
        ) from error


def _prefix(pipeline: Pipeline, parcel: Parcel) -> str:
    return f"{pipeline.name}-{parcel.digest[:12]}"


def _numbered(client: Any, prefix: str) -> dict[int, Any]:
    """The jobs of a prefix by number."""
    found = {}
    for job in _patiently(client.list_jobs):
        stem, _, number = (job.submission_id or "").rpartition("-")
        if stem == prefix and number.isdecimal():
            found[int(number)] = job
    return found


def _running(client: Any, prefix: str) -> str | None:
    jobs = _numbered(client, prefix).values()
    return next((job.submission_id for job in jobs if not job.status.is_terminal()), None)


def _submit(client: Any, pipeline: Pipeline, parcel: Parcel, progress: Progress) -> str:
    prefix = _prefix(pipeline, parcel)
    job = f"{prefix}-{max(_numbered(client, prefix), default=0) + 1}"
    keys = variables(pipeline)
    with progress.step(f"submitting job {job}"), tempfile.TemporaryDirectory(prefix="shipfit-job-") as folder:
        parcel.copy_to(Path(folder))
        if keys:
            progress.note(f"with the settings of this shell: {', '.join(keys)}")
        try:
            _patiently(
                lambda: client.submit_job(
                    submission_id=job,
                    entrypoint=shlex.join(command(parcel.file)),
                    metadata={"pipeline": pipeline.name},
                    runtime_env={
                        "working_dir": folder,
                        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS), **keys},
                    },
                )
            )
        except RuntimeError:
            if job != _running(client, prefix):  # somebody else was faster with the same, or we ourselves
                raise
    return job


def _patiently(call: Callable[[], Any]) -> Any:
    """Ask a dashboard that breaks the connection off, as a busy one does, a few times."""
    for seconds in _PAUSES:
        try:
            return call()
        except OSError:
            time.sleep(seconds)
    return call()


def command(file: Path) -> list[str]:
    """What a job runs: the same command, connected to the cluster that it runs on."""
    return ["shipfit", "quantize", str(file), "--address", "auto", "--progress", "json", "--json"]


async def _follow(client: Any, job: str, log: JobLog, progress: Progress) -> tuple[str, int | None]:
    """Show a job's log to its end; returns the job's status and exit code."""
    import aiohttp

    lost_since: float | None = None
    while True:
        try:
            skip = log.lines
            async for text in client.tail_job_logs(job):
                lost_since = None
                skip = _feed(log, text, skip)
            info = client.get_job_info(job)
            if info.status.is_terminal():
                return str(info.status), info.driver_exit_code
            progress.update(f"job {job} is {str(info.status).lower()}")
        except (RuntimeError, OSError, aiohttp.ClientError):
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > _LOST_SECONDS:
                raise
            progress.update("the cluster does not answer; asking again")
        await asyncio.sleep(_POLL_SECONDS)


def _feed(log: JobLog, text: str, skip: int) -> int:
    """Feed a piece of the log but for the first ``skip`` lines, which are known; returns how many are still to skip."""
    while skip and "\n" in text:
        text = text.partition("\n")[2]
        skip -= 1
    if not skip:
        log.feed(text)
    return skip


def _stop(client: Any, job: str, progress: Progress) -> None:
    """Stop a job and wait until it has ended."""
    with progress.step(f"stopping job {job}"), suppress(RuntimeError, OSError):
        client.stop_job(job)
        deadline = time.monotonic() + _STOP_SECONDS
        while not client.get_job_status(job).is_terminal() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 4)


def _outcome(job: str, status: str, code: int | None, log: JobLog) -> dict[str, Any]:
    """The job's result, or its error raised here."""
    if code == ExitCode.YES and log.result is not None:
        return log.result
    raise failure(job, status, code, log)


def failure(job: str, status: str, code: int | None, log: JobLog) -> ShipfitError:
    """Why a job failed: its own error, of the same kind and with the same line, where it told one.

    Args:
        job: its name.
        status: what Ray says of it.
        code: of its command; None where it did not end by itself.
        log: what it printed.
    """
    if log.error and code in _KINDS:
        return _KINDS[code](log.error)
    if code == _NO_SUCH_COMMAND:
        return EnvironmentFailure(
            f"job {job} found no shipfit on the cluster", hint="use an image made by containers/build"
        )
    if code is None:
        return EnvironmentFailure(f"job {job} was {status.lower()}: {log.last_words}", hint=_AGAIN)
    signalled = code - _SIGNALLED
    ended = describe_exit(-signalled if signalled > 0 else code)
    return EnvironmentFailure(f"job {job} {ended}; its last words: {log.last_words}", hint=_AGAIN)
