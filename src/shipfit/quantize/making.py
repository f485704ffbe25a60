"""Making a candidate: quantize, stage in the store, measure; each stage as a Ray task, and each once.

What a stage leads to is kept in the store at once, so that whatever is lost costs at most the stage in flight.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shipfit.artifacts import Staged, Store
from shipfit.core.paths import cache_dir
from shipfit.core.progress import Progress, named
from shipfit.core.units import GIB
from shipfit.core.worker import WorkerError
from shipfit.environments import Accelerator
from shipfit.quantize import gate
from shipfit.quantize.blame import blamed
from shipfit.quantize.cluster import Cluster
from shipfit.quantize.cluster.transfer import InStore, model
from shipfit.quantize.datasets import Dataset
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.inputs import Candidate, Inputs, sampling
from shipfit.quantize.preflight import Needs as Estimate
from shipfit.quantize.provenance import licence_of
from shipfit.quantize.stages import Needs, Origin, Stage
from shipfit.quantize.workspace import WEIGHTS, Workspace, weight_bytes


def recorded(store: Store, inputs: Inputs, candidate: Candidate) -> gate.Evidence | None:
    """What the gate measured of a candidate's artifact before, in the way that the pipeline asks; None if it did not.

    Raises:
        EnvironmentFailure: the store failed.
    """
    name = inputs.pipeline.name
    manifest = store.manifest(name, candidate.fingerprint)
    if manifest and manifest.gate.digest == inputs.gate_digest:
        return gate.from_result(manifest.gate)
    answers = store.checkpoint(name, candidate.fingerprint, _stage_of("gate", inputs))
    return gate.merge(answers) if answers else None


class Maker:
    """Makes and measures candidates on a cluster.

    Args:
        inputs: what they are made of.
        store: where their artifacts are staged.
        cluster: where stages run.
        source: the source model as a folder.
        progress: told what is going on.
    """

    def __init__(
        self, inputs: Inputs, store: Store, cluster: Cluster, source: Path, progress: Progress
    ) -> None:
        self.inputs = inputs
        self.name = inputs.pipeline.name
        self.store = store
        self.cluster = cluster
        self.source = source
        self.progress = progress
        self.seconds: dict[str, float] = {}

    def make_all(
        self, candidates: Sequence[Candidate], estimates: Mapping[str, Estimate]
    ) -> dict[str, gate.Evidence]:
        """Make every candidate; several at the same time where the cluster has room for them.

        Args:
            candidates: what to make.
            estimates: what each needs, by fingerprint.

        Returns:
            What the gate measured, by fingerprint.

        Raises:
            InputError: a dataset has too little text.
            EnvironmentFailure: a worker, Ray or the store failed.
        """
        if len(candidates) == 1:
            (only,) = candidates
            return {only.fingerprint: self._make(only, estimates[only.fingerprint], self.progress)}
        with ThreadPoolExecutor(len(candidates)) as pool:
            futures = {
                each.fingerprint: pool.submit(
                    self._make, each, estimates[each.fingerprint], named(self.progress, each.label)
                )
                for each in candidates
            }
            try:
                return {fingerprint: future.result() for fingerprint, future in futures.items()}
            except BaseException:
                self.cluster.cancel()
                raise

    def _make(self, candidate: Candidate, estimate: Estimate, progress: Progress) -> gate.Evidence:
        workspace = Workspace(self.name, candidate.fingerprint)
        answers = {"quantize": self._quantized(candidate, estimate, workspace, progress)}
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
            answers[measurement.name] = self._measured(candidate, measurement, workspace, progress)
            if answers[measurement.name].get("figures", {}).get("structure_faults"):
                break  # nothing else can be said of a broken artifact
        self.store.keep_checkpoint(self.name, candidate.fingerprint, _stage_of("gate", self.inputs), answers)
        return gate.merge(answers)

    def _quantized(
        self, candidate: Candidate, estimate: Estimate, workspace: Workspace, progress: Progress
    ) -> dict[str, Any]:
        """What the engine said when it made the artifact, which is then in the store."""
        name, fingerprint, engine = self.name, candidate.fingerprint, candidate.engine
        before = self.store.checkpoint(name, fingerprint, "quantize")
        if before and self.store.staged(name, fingerprint):
            progress.note("quantized by an earlier run")
            return before
        manifest = self.store.manifest(name, fingerprint)
        if manifest:
            kept = gate.from_result(manifest.gate).details.get("quantize", {})
            return dict(kept)
        calibration = self.inputs.calibration if engine.calibrates else None
        section = self.inputs.pipeline.calibration
        request = {
            "recipe": engine.recipe,
            "source": str(self.source),
            "output": str(workspace.artifact),
            "baselines": str(cache_dir("baselines")),
            "documents": requested(calibration) if calibration else [],
            **(sampling(section) if section else {"samples": 0, "tokens": 0, "seed": 0}),
        }
        if engine.declared.batch:
            request["batch"] = engine.declared.batch
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
            keeper=InStore(self.inputs.pipeline.store, name, fingerprint),
        )
        result = self._run("quantize", stage, candidate, progress)
        result |= self._facts(Staged.model_validate(result.pop("kept")))
        self.store.keep_checkpoint(name, fingerprint, "quantize", result)
        return result

    def _facts(self, staged: Staged) -> dict[str, Any]:
        """What else is told of an artifact: bytes of the weights before and after, and the source's licence."""
        after = sum(entry.bytes for entry in staged.files if entry.path.endswith(WEIGHTS))
        return {
            "source_bytes": weight_bytes(self.source),
            "weight_bytes": after,
            "licence": licence_of(self.source),
        }

    def _measured(
        self, candidate: Candidate, measurement: gate.Measurement, workspace: Workspace, progress: Progress
    ) -> dict[str, Any]:
        name, fingerprint = self.name, candidate.fingerprint
        kept = _stage_of(measurement.name, self.inputs)
        before = self.store.checkpoint(name, fingerprint, kept)
        if before:
            progress.note(f"{measurement.name} measured by an earlier run")
            return before
        stage = Stage(
            doing=measurement.doing,
            environment=measurement.environment,
            accelerator=measurement.accelerator,
            script=measurement.script,
            modules=INSIDE,
            request=measurement.request,
            log=workspace.log(measurement.name),
            needs=self._needs(measurement.accelerator, 2 * weight_bytes(self.source) / GIB),
            inputs={
                **self._sources(self.inputs.held_out),
                workspace.artifact: InStore(self.inputs.pipeline.store, name, fingerprint),
            },
        )
        result = self._run(measurement.name, stage, candidate, progress)
        self.store.keep_checkpoint(name, fingerprint, kept, result)
        return result

    def _run(self, name: str, stage: Stage, candidate: Candidate, progress: Progress) -> dict[str, Any]:
        begun = time.monotonic()
        try:
            with progress.step(name):
                result = self.cluster.run(stage, progress)
        except WorkerError as error:
            raise blamed(
                error, self.inputs.pipeline, candidate.recipe, calibrating=name == "quantize"
            ) from error
        seconds = round(time.monotonic() - begun, 1)
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 1)
        return {**result, "seconds": seconds}

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


def _stage_of(name: str, inputs: Inputs) -> str:
    """The checkpoint of a measurement: with other text, tasks or scripts it is another."""
    return f"{name}-{inputs.gate_digest[:12]}"
