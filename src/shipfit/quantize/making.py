"""Making a candidate: quantize, stage in the store, measure; each stage as a Ray task, and each once.

What a stage leads to is kept in the store at once, so that whatever is lost costs at most the stage in flight.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shipfit.artifacts import Manifest, Staged, Store
from shipfit.core.errors import EnvironmentFailure, ShipfitError
from shipfit.core.paths import cache_dir
from shipfit.core.progress import Progress, named
from shipfit.core.units import GIB
from shipfit.core.worker import WorkerError
from shipfit.environments import Accelerator
from shipfit.quantize import gate
from shipfit.quantize.blame import blamed
from shipfit.quantize.cluster import Cluster
from shipfit.quantize.cluster.transfer import FromStore, ToStore, model, patiently
from shipfit.quantize.datasets import Dataset
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.inputs import Candidate, Inputs, sampling
from shipfit.quantize.preflight import Needs as Estimate
from shipfit.quantize.preflight import require_disk
from shipfit.quantize.provenance import licence_of
from shipfit.quantize.stages import Needs, Origin, Stage, log_tail
from shipfit.quantize.workspace import WEIGHTS, Workspace, weight_bytes


@dataclass(frozen=True)
class Measured:
    """What the gate measured, and of which files: nothing else may be published on its strength.

    Attributes:
        stored: the very upload; another run may have uploaded other bytes for the same fingerprint since.
        evidence: the figures.
    """

    stored: Manifest | Staged
    evidence: gate.Evidence


def recorded(store: Store, inputs: Inputs, candidate: Candidate) -> Measured | None:
    """What the gate measured of a candidate's artifact before, in the way that the pipeline asks; None if it did not.

    Raises:
        EnvironmentFailure: the store failed.
    """
    name, fingerprint = inputs.pipeline.name, candidate.fingerprint
    manifest = store.manifest(name, fingerprint)
    if manifest:
        evidence = measured_of(store, manifest, inputs.gate_digest)
        return Measured(manifest, evidence) if evidence else None
    staged = store.staged(name, fingerprint)
    answers = staged and store.checkpoint(name, fingerprint, "gate", _key_of(staged, inputs))
    return Measured(staged, gate.merge(answers)) if staged and answers else None


def measured_of(store: Store, manifest: Manifest, digest: str) -> gate.Evidence | None:
    """What the gate measured of a published artifact, then or later; None if it did not in that way.

    Args:
        digest: of what is to be measured and with what.

    Raises:
        EnvironmentFailure: the store failed.
    """
    if manifest.gate.digest == digest:
        return gate.from_result(manifest.gate)
    answers = store.measurement(manifest.name, manifest.fingerprint, digest)
    return gate.merge(answers) if answers else None


class Maker:
    """Makes and measures candidates on a cluster.

    Args:
        inputs: what they are made of.
        store: where their artifacts are staged.
        cluster: where stages run.
        progress: told what is going on.
    """

    def __init__(self, inputs: Inputs, store: Store, cluster: Cluster, progress: Progress) -> None:
        self.inputs = inputs
        self.name = inputs.pipeline.name
        self.store = store
        self.cluster = cluster
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @cached_property
    def source(self) -> Path:
        """The source model as a folder, fetched if it is not here."""
        return self.inputs.source(self.progress)

    def make_all(
        self, candidates: Sequence[Candidate], estimates: Mapping[str, Estimate]
    ) -> dict[str, Measured | ShipfitError]:
        """Make every candidate; several at the same time where the cluster has room for them.

        Args:
            candidates: what to make.
            estimates: what each needs, by fingerprint.

        Returns:
            What the gate measured, by fingerprint; or why it could not be made: a dataset has too little text, or a
            worker, Ray or the store failed.

        Raises:
            InputError: the source cannot be used.
            EnvironmentFailure: there will be no room for a stage or on a disk, or the source cannot be fetched.
        """
        for each in candidates:
            self._require_room(each, estimates[each.fingerprint])
        self._require_disk(candidates, estimates)
        _ = self.source  # fetched once, and not by several at the same time
        self._require_disk(candidates, estimates)  # it may have taken the room
        with ThreadPoolExecutor(len(candidates)) as pool:
            futures = {
                each.fingerprint: pool.submit(
                    self._tried,
                    each,
                    estimates[each.fingerprint],
                    named(self.progress, each.label) if len(candidates) > 1 else self.progress,
                )
                for each in candidates
            }
            try:
                return {fingerprint: future.result() for fingerprint, future in futures.items()}
            except BaseException:
                self.cluster.cancel()
                raise

    def _require_room(self, candidate: Candidate, estimate: Estimate) -> None:
        """Before anything is fetched or made: what is made must be measured, too."""
        accelerator, fingerprint = candidate.engine.accelerator, candidate.fingerprint
        if not (self.store.manifest(self.name, fingerprint) or self.store.staged(self.name, fingerprint)):
            self.cluster.require_room("quantizing", self._needs(accelerator, estimate.host_gib))
        asks = self.inputs.pipeline.gate.generation and accelerator is Accelerator.CPU
        self.cluster.require_room(
            "the gate",
            self._needs(accelerator, estimate.gate_gib),
            ", or set gate.generation to null" if asks else "",
        )

    def _require_disk(self, candidates: Sequence[Candidate], estimates: Mapping[str, Estimate]) -> None:
        """As far as all happens on this machine."""
        if not self.cluster.spread:
            made = [(each.engine, estimates[each.fingerprint]) for each in candidates]
            require_disk(self.inputs.pipeline, self.inputs.facts, made)

    def _tried(self, candidate: Candidate, estimate: Estimate, progress: Progress) -> Measured | ShipfitError:
        try:
            return self._make(candidate, estimate, progress)
        except ShipfitError as error:
            if progress is not self.progress:
                progress.note(f"failed: {error.message}")
            return error

    def _make(self, candidate: Candidate, estimate: Estimate, progress: Progress) -> Measured:
        workspace = Workspace(self.name, candidate.fingerprint)
        stored, quantized = self._quantized(candidate, estimate, workspace, progress)
        answers = {"quantize": quantized}
        for measurement in gate.measurements(
            candidate.engine,
            gate.with_task_files(self.inputs.pipeline),
            source=self.source,
            revision=self.inputs.revision,
            artifact=workspace.artifact,
            documents=requested(self.inputs.held_out),
            documents_sha256=self.inputs.held_out.digest,
            baselines=cache_dir("baselines"),
        ):
            answers[measurement.name] = self._measured(
                candidate, stored, measurement, workspace, estimate, progress
            )
            if answers[measurement.name].get("figures", {}).get("structure_faults"):
                break  # nothing else can be said of a broken artifact
        if isinstance(stored, Manifest):
            digest = self.inputs.gate_digest
            patiently(
                lambda: self.store.keep_measurement(self.name, candidate.fingerprint, digest, answers),
                progress,
            )
        else:
            self._keep("gate", _key_of(stored, self.inputs), candidate, answers, progress)
        return Measured(stored, gate.merge(answers))

    def _quantized(
        self, candidate: Candidate, estimate: Estimate, workspace: Workspace, progress: Progress
    ) -> tuple[Manifest | Staged, dict[str, Any]]:
        """The artifact, which is then in the store, and what the engine said when it made it."""
        name, fingerprint, engine = self.name, candidate.fingerprint, candidate.engine
        if manifest := self.store.manifest(name, fingerprint):
            return manifest, dict(gate.from_result(manifest.gate).details.get("quantize", {}))
        earlier = self.store.staged(name, fingerprint)
        before = earlier and self.store.checkpoint(name, fingerprint, "quantize", _key_of(earlier))
        if earlier and before:
            progress.note("quantized by an earlier run")
            return earlier, before
        calibration = self.inputs.calibration if engine.calibrates else None
        section = self.inputs.pipeline.calibration
        request = {
            "recipe": engine.recipe,
            "source": str(self.source),
            "output": str(workspace.artifact),
            "baselines": str(cache_dir("baselines")),
            "documents": requested(calibration) if calibration else [],
            **(sampling(section) if section else {"samples": 0, "tokens": 0, "seed": 0}),
            "batch": engine.declared.batch,
        }
        if engine.offloads and engine.accelerator is Accelerator.CUDA:
            request["offload"] = estimate.offloaded
        stage = Stage(
            doing="quantizing",
            environment=engine.environment,
            accelerator=engine.accelerator,
            script=engine.worker,
            modules=INSIDE,
            request=request,
            log=workspace.log("quantize"),
            needs=self._needs(engine.accelerator, estimate.host_gib),
            inputs=self._sources(calibration),
            output=workspace.artifact,
            keeper=ToStore(self.inputs.pipeline.store, name, fingerprint),
        )
        result = self._run("quantize", stage, candidate, progress)
        staged = Staged.model_validate(result.pop("kept"))
        result |= self._facts(staged)
        self._keep("quantize", _key_of(staged), candidate, result, progress)
        return staged, result

    def _facts(self, staged: Staged) -> dict[str, Any]:
        """What else is told of an artifact: bytes of the weights before and after, and the source's licence."""
        after = sum(entry.bytes for entry in staged.files if entry.path.endswith(WEIGHTS))
        return {
            "source_bytes": weight_bytes(self.source),
            "weight_bytes": after,
            "licence": licence_of(self.source),
        }

    def _measured(
        self,
        candidate: Candidate,
        stored: Manifest | Staged,
        measurement: gate.Measurement,
        workspace: Workspace,
        estimate: Estimate,
        progress: Progress,
    ) -> dict[str, Any]:
        name, kept = measurement.name, _key_of(stored, self.inputs)
        before = self.store.checkpoint(self.name, candidate.fingerprint, name, kept)
        if before:
            progress.note(f"{name} measured by an earlier run")
            return before
        stage = Stage(
            doing=measurement.doing,
            environment=measurement.environment,
            accelerator=measurement.accelerator,
            script=measurement.script,
            modules=INSIDE,
            request=measurement.request,
            log=workspace.log(name),
            needs=self._needs(measurement.accelerator, estimate.gate_gib),
            inputs={
                **self._sources(self.inputs.held_out),
                workspace.artifact: FromStore(self.inputs.pipeline.store, stored),
            },
        )
        result = self._run(name, stage, candidate, progress)
        self._keep(name, kept, candidate, result, progress)
        return result

    def _keep(
        self, stage: str, of: str, candidate: Candidate, result: dict[str, Any], progress: Progress
    ) -> None:
        patiently(
            lambda: self.store.keep_checkpoint(self.name, candidate.fingerprint, stage, of, result), progress
        )

    def _run(self, name: str, stage: Stage, candidate: Candidate, progress: Progress) -> dict[str, Any]:
        begun = time.monotonic()
        try:
            with progress.step(name):
                result = self._logged(name, stage, candidate, progress)
        except WorkerError as error:
            raise blamed(
                error, self.inputs.pipeline, candidate.recipe, calibrating=name == "quantize"
            ) from error
        seconds = round(time.monotonic() - begun, 1)
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 1)
        return {**result, "seconds": seconds}

    def _logged(self, name: str, stage: Stage, candidate: Candidate, progress: Progress) -> dict[str, Any]:
        """Run a stage; where it fails, the end of its log goes into the store, if that is not this machine's alone."""
        try:
            return self.cluster.run(stage, progress)
        except ShipfitError:
            content = log_tail(stage.log) if self.inputs.pipeline.store else None
            if content:
                with suppress(EnvironmentFailure):  # the stage's own failure says more
                    kept = self.store.keep_log(self.name, candidate.fingerprint, name, content)
                    progress.note(f"the end of its log is kept as {kept}")
            raise

    def _needs(self, accelerator: Accelerator, host_gib: float) -> Needs:
        """On a GPU machine a share of the cores, else all of one node: an engine's threads want them."""
        on_gpu = accelerator is Accelerator.CUDA
        return Needs(
            cpus=1 if on_gpu else self.cluster.cpus,
            gpus=1 if on_gpu else 0,
            memory_bytes=int(host_gib * GIB),
        )

    def _sources(self, text: Dataset | None) -> dict[Path, Origin | None]:
        pipeline = self.inputs.pipeline
        files = [each.path for each in text.documents] if text else []
        return {
            self.source: model(pipeline.source, pipeline.folder, self.inputs.revision),
            **dict.fromkeys(files),
        }


def requested(text: Dataset) -> list[dict[str, Any]]:
    """A dataset as workers take it."""
    return [{"path": str(each.path), "weight": each.weight} for each in text.documents]


def _key_of(stored: Manifest | Staged, inputs: Inputs | None = None) -> str:
    """What a stage's result is kept by: of other files, or by other text, tasks or scripts, it is another."""
    return f"{stored.upload}-{inputs.gate_digest[:12]}" if inputs else stored.upload
