"""A new version tried on a share of a release's requests, and then given all of them or taken away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from shipfit.core.errors import EnvironmentFailure, ShipfitError, VerdictError
from shipfit.core.progress import Progress
from shipfit.serve.cluster import weights
from shipfit.serve.cluster.canary.overlay import left_out, with_canary
from shipfit.serve.cluster.canary.watching import CANARY, Observation, OvertakenError, Window, observe
from shipfit.serve.cluster.deploy import prove, roll_out
from shipfit.serve.cluster.preflight import Objection
from shipfit.serve.cluster.propose import Proposal, propose, revised, values_files
from shipfit.serve.cluster.rollback import failure, return_to
from shipfit.serve.cluster.survey import survey
from shipfit.serve.cluster.values import artifacts_of
from shipfit.spec import Deployment


@dataclass(frozen=True)
class Promotion:
    """What ``promote`` would do.

    Attributes:
        canary: what is installed first; None where nothing is new.
        whole: what is rolled out where the canary is good.
        left_out: values that differ and that the canary does not show.
    """

    canary: Proposal | None
    whole: Proposal
    left_out: list[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a canary.

    Attributes:
        serves: the revision that serves now, with all the requests.
        answers: the proof of the new version; empty where it was taken away.
    """

    observation: Observation
    serves: int
    answers: str = ""

    def require(self) -> None:
        """See that the new version serves.

        Raises:
            VerdictError: it was taken away; says why, with figures.
        """
        verdict = self.observation.verdict
        if verdict.state == "good":
            return
        said = "the canary is not good" if verdict.state == "bad" else "nothing can be said of the canary"
        raise VerdictError(
            f"{said}: {'; '.join(verdict.why)}; revision {self.serves} serves as before",
            hint="watch it for longer (--for), or give it more (--canary)"
            if verdict.state == "unknown"
            else None,
        )


def propose_promotion(deployment: Deployment, percent: int, progress: Progress) -> Promotion:
    """What trying a deployment by a canary would change, and what stands against it. Changes nothing.

    Args:
        percent: of the requests, that the canary gets.

    Raises:
        InputError: the spec or the values are wrong, or nothing that a canary could show is new.
        VerdictError: nothing at hand holds the promise.
        EnvironmentFailure: nothing is served yet, or a program, the cluster or the store is out of reach.
    """
    whole = propose(deployment, progress)
    target, serving = whole.target, whole.current.values
    if whole.current.serving is None:
        raise EnvironmentFailure(
            f"{target.release} does not serve yet in {target.place}: there is nothing to compare a canary with",
            hint=f"run `shipfit deploy {target.spec}`",
        )
    if whole.unchanged:
        return Promotion(None, whole, [])
    with values_files(whole) as files:
        new = target.helm.merged(files)
    canary = revised(whole, with_canary(serving, new, percent), whole.found, whole=True)
    against = [each for each in (*canary.objections, *_restarting(canary)) if each not in whole.objections]
    return Promotion(replace(canary, objections=[*whole.objections, *against]), whole, left_out(serving, new))


def promote(
    promotion: Promotion, canary: Proposal, window: Window, progress: Progress, timeout: float | None = None
) -> Outcome:
    """Install the canary, watch it, and give the new version all the requests, or take it away.

    Whatever fails, and where the user interrupts it, what served before serves again.

    Args:
        canary: the promotion's.
        timeout: seconds that each rollout may take; by default what the pods' start-up budgets add up to.

    Raises:
        VerdictError: a rollout failed for a cause in the release.
        EnvironmentFailure: a cause around it, or somebody else changed the release meanwhile.
    """
    target = canary.target
    try:
        number = roll_out(canary, progress, timeout)
        seen = _watched(canary, window, number, progress)
        if seen.verdict.state != "good":
            return Outcome(seen, _go_back(canary, progress))
        whole = revised(promotion.whole, promotion.whole.values, survey(target))
        number = roll_out(whole, progress, timeout)
        return Outcome(seen, number, prove(whole, progress))
    except KeyboardInterrupt:
        _go_back(canary, progress)
        raise


def _watched(canary: Proposal, window: Window, number: int, progress: Progress) -> Observation:
    try:
        with progress.step(f"watching the canary of {canary.target.release}"):
            return observe(canary.target, window, number, progress)
    except OvertakenError:
        raise
    except ShipfitError:
        _go_back(canary, progress)
        raise


def _go_back(canary: Proposal, progress: Progress) -> int:
    """Let what served before serve alone; returns the number of its revision."""
    target, before = canary.target, canary.current
    if before.settled is None or target.helm.revisions()[-1] == before.revisions[-1]:  # nothing has begun
        record = before.values["record"]
        weights.unpin(canary.held - artifacts_of(record), record["id"], progress)
    elif cause := return_to(target, before.settled.number, canary.changes, canary.held, progress):
        raise failure(target, before.settled.number, cause)
    return target.helm.revisions()[-1].number


def _restarting(canary: Proposal) -> Iterator[Objection]:
    """What serves must stay as it is beside a canary; another version of the chart may not leave it so."""
    release = canary.target.release
    for each in canary.changes:
        if each.restarts and each.name not in (f"{release}-router", f"{release}-{CANARY}"):
            yield Objection(
                f"{each.name} would restart beside its canary: {each.fields[0]}",
                f"another chart installed it; `shipfit deploy {canary.target.spec}`",
            )
