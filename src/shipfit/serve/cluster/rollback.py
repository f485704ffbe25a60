"""Going back to an earlier revision of a release."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure, InputError, ShipfitError, VerdictError
from shipfit.core.progress import Progress
from shipfit.serve.cluster import capacity, weights
from shipfit.serve.cluster.changes import Change, changes, documents
from shipfit.serve.cluster.diagnosis import Cause
from shipfit.serve.cluster.helm import Current
from shipfit.serve.cluster.rollout import keep_logs, look, watch
from shipfit.serve.cluster.target import Target, target_of
from shipfit.serve.cluster.values import Artifact, Values, artifacts_of, served_artifacts
from shipfit.serve.cluster.workloads import by_workload, workloads
from shipfit.spec import Deployment


@dataclass(frozen=True)
class Return:
    """What ``rollback`` would do.

    Attributes:
        to: the revision to go back to.
        changes: of objects.
        pods: how each kind of pod is replaced, a line each.
    """

    target: Target
    current: Current
    to: int
    values: Values
    manifest: str
    changes: list[Change]
    pods: list[str]


def propose_return(deployment: Deployment, to: int | None) -> Return:
    """What going back to an earlier revision would change.

    Args:
        to: a revision; by default the one that served before the present one.

    Raises:
        InputError: there is no such revision, or nothing to go back to.
        EnvironmentFailure: the cluster is out of reach.
    """
    target = target_of(deployment)
    current = target.helm.current()
    number = to or _before(current, target)
    manifest, after = target.helm.manifest(number), target.helm.values(number)
    done = changes(documents(current.manifest), documents(manifest))
    by_name = by_workload(done)
    told = [capacity.told(each, None, by_name.get(each.name)) for each in workloads(documents(manifest))]
    return Return(target, current, number, after, manifest, done, told)


def roll_back(proposal: Return, progress: Progress, timeout: float | None = None) -> int:
    """Go back; returns the number of the revision that this makes.

    Raises:
        VerdictError: it does not come up; names the cause.
        EnvironmentFailure: its artifact is not in the store any more, or the cluster failed.
    """
    target = proposal.target
    record, present = proposal.values.get("record") or {}, proposal.current.values.get("record") or {}
    weights.pin(target, served_artifacts(record), str(record.get("id", "")), progress)
    cause = return_to(target, proposal.to, proposal.changes, artifacts_of(present), progress, timeout)
    if cause:
        raise failure(target, proposal.to, cause)
    return proposal.current.revisions[-1].number + 1


def return_to(
    target: Target,
    number: int,
    done: Sequence[Change],
    pinned: Collection[Artifact],
    progress: Progress,
    timeout: float | None = None,
) -> Cause | None:
    """Let an earlier revision serve again; None once it does, else the cause why it does not.

    Args:
        done: what changes in the cluster, the one way or the other.
        pinned: artifacts that the release holds; those that it names no more are let go.

    Raises:
        EnvironmentFailure: the cluster does not answer.
    """
    record = target.helm.values(number).get("record") or {}
    after = documents(target.helm.manifest(number))
    with (
        progress.step(f"going back to revision {number} of {target.release}"),
        tempfile.TemporaryDirectory() as folder,
    ):
        begin = partial(target.helm.rollback, number, Path(folder) / "helm.log")
        cause = watch(target, begin, done, after, progress, timeout)
    if cause is None:
        weights.unpin(set(pinned) - artifacts_of(record), str(record.get("id", "")), progress)
    return cause


def failure(target: Target, number: int, cause: Cause) -> ShipfitError:
    """The error of a release that does not go back to a revision; keeps what its pods said."""
    kind = VerdictError if cause.verdict else EnvironmentFailure
    logs = keep_logs(target, look(target))
    return kind(f"going back to revision {number} failed: {cause}", hint=cause.advice, log=logs)


def _before(current: Current, target: Target) -> int:
    """The revision that served before the present one; where a deploy was cut off, the one that serves."""
    to = current.settled if current.pending else current.before
    if to is None:
        raise InputError(
            f"{target.release} has no revision to go back to", hint=f"`shipfit status {target.spec}`"
        )
    return to.number
