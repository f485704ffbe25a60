"""Going back to an earlier revision of a release."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure, InputError, VerdictError
from shipfit.core.progress import Progress
from shipfit.serve.cluster import capacity, weights
from shipfit.serve.cluster.changes import Change, changes, documents
from shipfit.serve.cluster.helm import Current
from shipfit.serve.cluster.rollout import keep_logs, look, watch
from shipfit.serve.cluster.target import Target, target_of
from shipfit.serve.cluster.values import Artifact, Values, artifacts_of
from shipfit.serve.cluster.workloads import workloads
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
    by_name = {each.name: each for each in done if each.kind == "Deployment"}
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
    holder = str(record.get("id", ""))
    weights.pin(target, Artifact.recorded(record.get("artifact")), holder, progress)
    after = documents(proposal.manifest)
    with (
        progress.step(f"going back to revision {proposal.to} of {target.release}"),
        tempfile.TemporaryDirectory() as folder,
    ):
        log = Path(folder) / "helm.log"
        begin = partial(target.helm.rollback, proposal.to, log)
        cause = watch(target, begin, proposal.changes, after, progress, timeout)
    if cause:
        logs = keep_logs(target, look(target))
        kind = VerdictError if cause.verdict else EnvironmentFailure
        raise kind(f"going back to revision {proposal.to} failed: {cause}", hint=cause.advice, log=logs)
    weights.unpin(artifacts_of(present) - artifacts_of(record), holder, progress)
    return proposal.current.revisions[-1].number + 1


def _before(current: Current, target: Target) -> int:
    """The revision that served before the present one; where a deploy was cut off, the one that serves."""
    served = [each.number for each in current.revisions if each.status in ("deployed", "superseded")]
    if current.pending and current.serving:
        return current.serving.number
    if len(served) < 2:
        raise InputError(
            f"{target.release} has no revision to go back to", hint=f"`shipfit status {target.spec}`"
        )
    return served[-2]
