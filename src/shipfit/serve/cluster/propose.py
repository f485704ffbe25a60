"""What deploying would change in a cluster, what that costs meanwhile, and what stands against it."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shipfit.core.errors import InputError
from shipfit.core.progress import Progress
from shipfit.hardware import CPU, gpu
from shipfit.serve.cluster import capacity, preflight, values, weights
from shipfit.serve.cluster.changes import Change, changes, documents
from shipfit.serve.cluster.gpus import count_free, offer_of
from shipfit.serve.cluster.helm import Current
from shipfit.serve.cluster.kubectl import Object
from shipfit.serve.cluster.preflight import Objection
from shipfit.serve.cluster.survey import Survey, existing, survey
from shipfit.serve.cluster.target import Target, target_of
from shipfit.serve.cluster.values import Artifact, Values, artifacts_of
from shipfit.serve.cluster.workloads import by_workload, references, workloads
from shipfit.serve.launching import chat_template
from shipfit.serve.planning import plan_deployment, plan_in_cluster
from shipfit.sizing import Plan
from shipfit.spec import Deployment, blame


@dataclass(frozen=True)
class Proposal:
    """What ``deploy`` would do.

    Attributes:
        weights: what is served, in words.
        values: what shipfit passes to the chart; the owner's file comes after it, unless ``whole``.
        whole: whether those values are all, the owner's among them.
        manifest: the rendered objects, as YAML.
        found: the cluster as it is.
        changes: of objects.
        pods: how each kind of pod is replaced, a line each.
        objections: what stands against it.
    """

    target: Target
    plan: Plan
    weights: str
    values: Values
    whole: bool
    manifest: str
    found: Survey
    changes: list[Change]
    pods: list[str]
    objections: list[Objection] = field(default_factory=list)

    @property
    def current(self) -> Current:
        """The release as it is."""
        return self.found.current

    @property
    def held(self) -> set[Artifact]:
        """Artifacts that are pinned for the release while this is done."""
        before = self.current.values.get("record") or {}
        return artifacts_of(self.values["record"]) | artifacts_of(before)

    @property
    def unchanged(self) -> bool:
        """Whether the release is already what the deployment asks for."""
        latest = self.current.revisions[-1] if self.current.revisions else None
        same = values.same(self.current.values.get("record"), self.values["record"])
        return bool(latest and latest.status == "deployed" and same and not self.changes)

    def require(self) -> None:
        """See that nothing stands against it.

        Raises:
            ShipfitError: something does; of the kind that fits.
        """
        if self.objections:
            raise preflight.refusal(self.objections, f"{self.target.spec} cannot be deployed")


def propose(deployment: Deployment, progress: Progress) -> Proposal:
    """What deploying would change, what it costs meanwhile, and what stands against it. Changes nothing.

    Raises:
        InputError: the spec or the values are wrong.
        VerdictError: nothing at hand holds the promise.
        EnvironmentFailure: kubectl or Helm is missing, or the cluster or the store is out of reach.
    """
    target = target_of(deployment)
    with ThreadPoolExecutor() as pool:
        looking = pool.submit(survey, target)
        reading = pool.submit(weights.manifest_of, deployment, progress)
        planning = pool.submit(plan_deployment, deployment) if deployment.hardware else None
        found = looking.result()
        plan = planning.result() if planning else _plan(target, found)
        served = weights.weights_of(deployment, plan, reading.result())
    record = found.current.values.get("record") or {}
    previous = Artifact.recorded(record.get("artifact"))
    if previous == served.artifact:  # deployed again: what was there before it stays so
        previous = Artifact.recorded(record.get("previous"))
    own = {each["metadata"]["uid"] for each in found.own_pods(target)}
    made = values.render(
        deployment,
        plan,
        served,
        offer_of(gpu(plan.gpu), found.items or [], own) if plan.gpu != CPU else None,
        template=_template(deployment),
        holder=record.get("id") or uuid.uuid4().hex,
        previous=previous,
    )
    return _rendered(target, plan, served.name, made, found)


def revised(proposal: Proposal, made: Values, found: Survey, *, whole: bool = False) -> Proposal:
    """The same deployment with other values, or in a cluster that is another by now.

    Args:
        whole: whether the values are all there are, the owner's among them.

    Raises:
        InputError: the chart refuses the values.
        EnvironmentFailure: the cluster is out of reach.
    """
    return _rendered(proposal.target, proposal.plan, proposal.weights, made, found, whole=whole)


def _rendered(
    target: Target, plan: Plan, served: str, made: Values, found: Survey, *, whole: bool = False
) -> Proposal:
    """The proposal; rendered again where the rollout has to do without a spare place."""
    own = {each["metadata"]["uid"] for each in found.own_pods(target)}
    manifest = _template_of(target, made, found, whole=whole)
    after = documents(manifest)
    model = f"{target.release}-{values.MODEL}"
    asked = workloads(after)
    spares = {}
    if found.items is not None and not target.cluster.grows:
        staying = found.without(target, {each.name for each in asked})
        spares = {each.name: capacity.spare(each, asked, staying, own, found.limits or []) for each in asked}
    if model in spares and not spares[model].node and not whole:
        made["models"][values.MODEL]["rollout"] = "replace"
        manifest = _template_of(target, made, found)
        after = documents(manifest)
        asked = workloads(after)
    done = changes(documents(found.current.manifest), after)
    by_name = by_workload(done)
    objections = list(_objections(target, found, after, own))
    stuck = (capacity.deadlock(each, spares.get(each.name), by_name.get(each.name)) for each in asked)
    objections += [each for each in stuck if each]
    return Proposal(
        target,
        plan,
        served,
        made,
        whole,
        manifest,
        found,
        done,
        [capacity.told(each, spares.get(each.name), by_name.get(each.name)) for each in asked],
        objections,
    )


def _objections(target: Target, found: Survey, after: Sequence[Object], own: set[str]) -> Iterator[Objection]:
    if pending := found.current.pending:
        way_out = "shipfit rollback" if found.current.serving else "shipfit down"
        yield Objection(
            f"another deploy is at it: revision {pending.number} is {pending.status} since {pending.updated}",
            f"wait for it; if none runs any more, it was cut off: `{way_out} {target.spec}`",
        )
    yield from preflight.of_cluster(found, target)
    asked = workloads(after)
    if found.items is not None and not target.cluster.grows:
        yield from capacity.unplaced(asked, found.items, own)
    yield from preflight.of_quotas(found.limits or [], asked, found.own_pods(target))
    if found.namespace is None:
        return
    wanted = references(after)
    with ThreadPoolExecutor() as pool:
        admission = pool.submit(preflight.of_admission, target.kubectl, after, asked, upgrade=bool(own))
        yield from preflight.of_references(wanted, existing(target.kubectl, wanted))
        yield from admission.result()


def _plan(target: Target, found: Survey) -> Plan:
    """The plan for what the cluster has free, its own pods counted as gone: else a second deploy would plan anew."""
    deployment = target.deployment
    if found.items is None or target.cluster.grows:
        why = "nodes come when they are needed" if target.cluster.grows else "this user may not list nodes"
        with blame(deployment, "hardware"):
            raise InputError(f"is missing, and {why}", hint="name the GPUs that replicas may use")
    own = {each["metadata"]["uid"] for each in found.own_pods(target)}
    return plan_in_cluster(deployment, count_free(found.items, own))


def _template_of(target: Target, made: Values, found: Survey, *, whole: bool = False) -> str:
    with _files(target, made, whole=whole) as files:
        return target.helm.template(
            files,
            blamed=target.file or target.deployment.path,
            version=found.version,
            upgrade=bool(found.current.serving),
        )


@contextmanager
def values_files(proposal: Proposal) -> Iterator[list[Path]]:
    """The files of values that Helm reads, the owner's last."""
    with _files(proposal.target, proposal.values, whole=proposal.whole) as files:
        yield files


@contextmanager
def _files(target: Target, made: Values, *, whole: bool) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory() as folder:
        rendered = Path(folder) / "planned.json"
        rendered.write_text(json.dumps(made))
        yield [rendered, target.file] if target.file and not whole else [rendered]


def _template(deployment: Deployment) -> str:
    path = chat_template(deployment)
    return path.read_text() if path else ""
