"""A pipeline's work as a RayJob of the KubeRay operator, made only when there is work; runs in a pod.

The RayJob is named after its work: while it runs, whoever wants the same follows it. What it leads to is in the store;
here it matters only why it failed, where it left nothing there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shipfit.artifacts import fingerprint
from shipfit.core.data import read_yaml
from shipfit.core.errors import EnvironmentFailure, InputError, ShipfitError, from_os_error
from shipfit.core.progress import NoProgress, Progress
from shipfit.quantize.cluster.joblog import JobLog
from shipfit.quantize.cluster.jobs import failure
from shipfit.quantize.cluster.kubernetes import Api, Object

_RAYJOBS = ("apis/ray.io/v1", "rayjobs")

_ENDED = {"Complete", "Failed", "ValidationFailed"}
"""``status.jobDeploymentStatus`` of a RayJob that does nothing any more: rayjob_types.go of KubeRay 1.6."""

_EXIT = re.compile(r"failed with exit code (\d+)")
"""In a RayJob's message: what Ray 2.60 says of a command that failed (job_supervisor.py)."""

_POLL_SECONDS = 5.0

_LOST_SECONDS = 120.0
"""How long an API that does not answer is asked again: it may be starting anew."""

_LOG_TIMEOUT_S = 5.0


def by_rayjob(template: Path, progress: Progress) -> Callable[[Sequence[str]], ShipfitError | None]:
    """Has work done by a RayJob.

    Args:
        template: a RayJob as YAML; its name becomes the beginning of each one's.
        progress: told what the RayJob's command prints.

    Returns:
        Takes what names the work; returns at its end, with the reason if it failed.

    Raises:
        InputError: the file is no RayJob.
    """
    document = _read(template)

    def work(names: Sequence[str]) -> ShipfitError | None:
        digest = fingerprint({"work": sorted(names)})
        name = f"{document['metadata']['name']}-{digest[:10]}"
        job = {**document, "metadata": {**document["metadata"], "name": name, **_owner()}}
        with Api(_RAYJOBS, document["metadata"]["namespace"]) as api, progress.step(f"RayJob {name}"):
            _submit(api, job, progress)
            return _follow(api, name, progress)

    return work


def _read(template: Path) -> dict[str, Any]:
    try:
        document = read_yaml(template)
        _ = document["metadata"]["name"], document["metadata"]["namespace"], document["spec"]
        right = document["kind"] == "RayJob"
    except OSError as error:
        raise from_os_error(error, "reading the RayJob") from error
    except (KeyError, TypeError):
        right = False
    if not right:
        raise InputError(
            "is no RayJob with a name and a namespace",
            hint="take what helm/llm-requantization writes",
            where=str(template),
        )
    return dict(document)


def _owner() -> dict[str, Any]:
    """The Job that this pod belongs to, by what the chart says of it: with the Job its RayJob goes too."""
    name, uid = (os.environ.get(f"JOB_{what}") for what in ("NAME", "UID"))
    if not (name and uid):
        return {}
    return {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}]}


def _submit(api: Api, job: Object, progress: Progress) -> None:
    """Make the RayJob, unless it runs already; an earlier one that ended has left nothing, so it is done again."""
    name = job["metadata"]["name"]
    deadline = time.monotonic() + _LOST_SECONDS
    while time.monotonic() < deadline:
        there = api.get(name)
        if there is None:
            if api.create(job):
                return
        elif "deletionTimestamp" in there["metadata"]:
            time.sleep(1)
        elif _state(there) in _ENDED:
            api.delete(name)
        else:
            progress.note("it runs already: following it")
            return
    raise EnvironmentFailure(
        f"RayJob {name} of an earlier run is not gone {_LOST_SECONDS:g} s after it was deleted",
        hint="see whether the KubeRay operator runs",
    )


def _follow(api: Api, name: str, progress: Progress) -> ShipfitError | None:
    """Show what the RayJob's command prints until it ends; why it failed, None if it did not."""
    log = _DriverLog(progress)
    shown, lost_since = "", None
    while True:
        try:
            job = api.get(name)
            lost_since = None
        except EnvironmentFailure:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > _LOST_SECONDS:
                raise
            time.sleep(_POLL_SECONDS)
            continue
        if job is None:
            return EnvironmentFailure(f"RayJob {name} was deleted", hint="the next run goes on from there")
        state = _state(job)
        if state != shown:
            progress.note(f"it is {state}")
            shown = state
        log.show(job.get("status", {}))
        if state in _ENDED:
            return _failure(name, job["status"])
        time.sleep(_POLL_SECONDS)


def _state(job: Object) -> str:
    return str(job.get("status", {}).get("jobDeploymentStatus") or "New")


def _failure(name: str, status: Object) -> ShipfitError | None:
    if status.get("jobStatus") == "SUCCEEDED":
        return None
    message = str(status.get("message", ""))
    with JobLog(NoProgress()) as log:
        log.feed(f"{message}\n")
    if code := _EXIT.search(message):
        return failure(name, str(status["jobStatus"]), int(code[1]), log)
    return EnvironmentFailure(
        f"RayJob {name} failed ({status.get('reason', 'for no reason told')}): {log.last_words}",
        hint="kubectl describe rayjob says more",
    )


class _DriverLog:
    """What the command prints, from the dashboard of its Ray cluster; while that does not answer, nothing is shown."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines = 0

    def show(self, status: Object) -> None:
        """Show what is new."""
        import httpx

        if not (status.get("dashboardURL") and status.get("jobId")):
            return
        url = f"http://{status['dashboardURL']}/api/jobs/{status['jobId']}/logs"
        try:
            answer = httpx.get(url, timeout=_LOG_TIMEOUT_S, trust_env=False)
            text = str(answer.raise_for_status().json()["logs"])
        except (httpx.HTTPError, ValueError, KeyError):  # it begins, it ends, or it is busy
            return
        whole = text.split("\n")[:-1]
        for line in whole[self._lines :]:
            self._progress.note(line)
        self._lines = max(self._lines, len(whole))
