"""What a release loads: the very artifact that the deployment's channel points to, or the exact revision of a model."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from shipfit.artifacts import Manifest, open_store
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress, Progress
from shipfit.models import hub, load_facts, parse
from shipfit.precision import scheme
from shipfit.serve.cluster.target import Target
from shipfit.serve.cluster.values import Artifact, Weights, bytes_of
from shipfit.serve.launching import check_artifact, signer
from shipfit.sizing import Plan
from shipfit.spec import Deployment, blame


def manifest_of(deployment: Deployment, progress: Progress) -> Manifest | None:
    """The manifest of the deployment's artifact, signed as it has to be; None where it names none.

    Raises:
        InputError: there is no such artifact or channel.
        EnvironmentFailure: the store is out of reach, the gate did not pass, or the signature is missing.
    """
    reference = deployment.artifact_reference
    if reference is None:
        return None
    name, channel = reference
    signed_by = signer(deployment)
    with blame(deployment, "artifact"), open_store(deployment.store, progress) as store:
        return store.trusted(name, store.resolve(name, channel), progress, signed_by)


def weights_of(deployment: Deployment, plan: Plan, manifest: Manifest | None) -> Weights:
    """What the replicas of a plan load.

    Raises:
        InputError: the artifact is of another model or precision, or pods cannot fetch the model.
        EnvironmentFailure: the hub does not say which revision it has.
    """
    if manifest and deployment.store:
        check_artifact(deployment, plan, manifest)
        artifact = Artifact(deployment.store, manifest.name, manifest.fingerprint, manifest.gate.figures)
        return Weights(artifact, "", manifest.total_bytes, scheme(plan.precision).bits < 16)
    with blame(deployment, "model"):
        reference = parse(deployment.model)
        if reference.kind != "hub":
            raise InputError(
                "is not on the Hugging Face hub, and pods cannot fetch it",
                hint="publish it as an artifact (`shipfit quantize`), and name that with its store",
            )
        commit = hub.commit(reference)
        if commit is None:
            raise EnvironmentFailure(
                f"the hub does not answer, so {reference.name} cannot be pinned to a revision",
                hint="run it where the hub is within reach",
            )
        quantized = load_facts(deployment.model).quantization is not None
    return Weights(None, f"{reference.name}@{commit}", bytes_of(plan), quantized)


def pin(target: Target, artifacts: Iterable[Artifact], holder: str, progress: Progress) -> None:
    """Keep artifacts in their stores for as long as the release serves them, or goes back to them.

    Args:
        holder: the release's own name among pins.

    Raises:
        EnvironmentFailure: one is not there any more, or a store failed.
    """
    reason = f"release {target.release} in {target.place} serves it"
    for each in artifacts:
        with open_store(each.store, progress) as store:
            store.pin(each.name, each.fingerprint, reason, holder)


def unpin(artifacts: Iterable[Artifact], holder: str, progress: Progress) -> None:
    """Let artifacts go that the release does not serve any more; a store out of reach is only noted."""
    for each in artifacts:
        try:
            with open_store(each.store, NoProgress()) as store, suppress(InputError):  # it has none
                store.unpin(each.name, each.fingerprint, holder)
        except EnvironmentFailure as error:
            progress.note(f"{each.name} ({each.fingerprint[:12]}) stays pinned in its store: {error.message}")
