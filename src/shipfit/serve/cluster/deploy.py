"""The rollout of a proposal, the way back where it fails, and the end of a release."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from shipfit.core.errors import EnvironmentFailure, ShipfitError, VerdictError
from shipfit.core.progress import Progress
from shipfit.serve.cluster import weights
from shipfit.serve.cluster.address import api_key, end_forward, reached
from shipfit.serve.cluster.changes import documents
from shipfit.serve.cluster.diagnosis import Cause
from shipfit.serve.cluster.kubectl import Object
from shipfit.serve.cluster.propose import Proposal, values_files
from shipfit.serve.cluster.rollback import return_to
from shipfit.serve.cluster.rollout import keep_logs, keep_looking, remove, watch
from shipfit.serve.cluster.target import target_of
from shipfit.serve.cluster.values import artifacts_of, served_artifacts
from shipfit.spec import Deployment


def roll_out(proposal: Proposal, progress: Progress, timeout: float | None = None) -> int:
    """Install or upgrade the release, and wait until every pod is ready; returns Helm's number of its revision.

    Where that fails, the revision that served before serves again; what never served is removed.

    Args:
        timeout: seconds; by default what the pods' own start-up budgets add up to.

    Raises:
        VerdictError: it failed for a cause in the release; names it.
        EnvironmentFailure: it failed for a cause around it.
    """
    proposal.require()
    target = proposal.target
    record = proposal.values["record"]
    weights.pin(target, served_artifacts(record), record["id"], progress)
    after = documents(proposal.manifest)
    number = proposal.current.revisions[-1].number + 1 if proposal.current.revisions else 1
    percent = (record.get("canary") or {}).get("percent")
    with (
        progress.step(f"rolling out revision {number} of {target.release}"),
        values_files(proposal) as files,
    ):
        log = files[0].with_name("helm.log")
        begin = partial(target.helm.upgrade, files, log, canary_percent=percent)
        cause = watch(target, begin, proposal.changes, after, progress, timeout)
    if cause:
        go_back(proposal, cause, progress)
    weights.unpin(proposal.held - artifacts_of(record), record["id"], progress)
    return number


def prove(proposal: Proposal, progress: Progress) -> str:
    """Ask the release for a streamed completion of every model, through its router; the figures as a line.

    Where that fails, as in ``roll_out``: what served before serves again.

    Raises:
        VerdictError: it does not answer as it should.
    """
    from shipfit.serve.pod.check import PATIENCE_S, ask, judge

    target = proposal.target
    try:
        with progress.step("asking for a completion through the router"):
            current = target.helm.current()
            key = api_key(target, current.values)
            with reached(target) as url:
                answers = [
                    ask(f"{url}/v1", key, model["name"], PATIENCE_S + model.get("wait", 0))
                    for model in _served(documents(proposal.manifest))
                ]
                return judge(answers, None, None)
    except ShipfitError as error:
        go_back(proposal, Cause(target.release, error.message, error.hint or "see its logs"), progress)


def go_back(proposal: Proposal, cause: Cause, progress: Progress) -> NoReturn:
    """Undo a rollout that failed, and say why it did.

    Raises:
        VerdictError: always, or
        EnvironmentFailure: where the cause is not in the release.
    """
    target, settled = proposal.target, proposal.current.settled
    logs = keep_logs(target, keep_looking(target, progress))
    if settled:
        failed = return_to(target, settled.number, proposal.changes, proposal.held, progress)
        state = (
            f"but revision {settled.number} does not come up either: {failed}"
            if failed
            else f"revision {settled.number} serves as before"
        )
    else:
        with progress.step("removing what never served"):
            remove(target, progress)
        weights.unpin(proposal.held, proposal.values["record"]["id"], progress)
        state = "nothing was served before, and nothing is left"
    kind = VerdictError if cause.verdict else EnvironmentFailure
    raise kind(f"the rollout failed: {cause} ({cause.advice}); {state}", log=logs)


def take_down(deployment: Deployment, progress: Progress) -> bool:
    """Remove the release and all that belongs to it; whether there was one.

    Raises:
        EnvironmentFailure: the cluster is out of reach.
    """
    target = target_of(deployment)
    end_forward(target)
    current = target.helm.current()
    if not current.revisions:
        return False
    with progress.step(f"removing {target.release} from {target.place}"):
        remove(target, progress)
    record = current.values.get("record") or {}
    weights.unpin(artifacts_of(record), str(record.get("id", "")), progress)
    return True


def _served(after: Sequence[Object]) -> list[dict[str, Any]]:
    """What is served, from the settings of the router: the name that clients send, and how long a request may wait."""
    for each in after:
        if each["kind"] == "ConfigMap" and "settings.json" in (each.get("data") or {}):
            found: list[dict[str, Any]] = json.loads(each["data"]["settings.json"])["models"]
            return found
    return []
