"""A pipeline from its source to its channel: resolve, quantize, gate, publish, promote. Each stage once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipfit.artifacts import Channel, Manifest, ManifestDraft, Store, open_store
from shipfit.artifacts import manifest as documents
from shipfit.core import locks
from shipfit.core.errors import VerdictError
from shipfit.core.paths import state_dir
from shipfit.core.progress import Progress
from shipfit.core.worker import WorkerError
from shipfit.environments import ensure
from shipfit.quantize import gate
from shipfit.quantize.cluster import Cluster, local_cluster, require_ray
from shipfit.quantize.datasets import Part, too_little_text
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.inputs import Inputs, resolve, sampling
from shipfit.quantize.stages import Stage
from shipfit.quantize.workspace import Workspace, weight_bytes
from shipfit.spec import Pipeline


@dataclass(frozen=True)
class Outcome:
    """What a run of a pipeline led to.

    Attributes:
        manifest: of the artifact that its channel points to now.
        unchanged: nothing had to be done.
        seconds: by stage; only the stages that were run.
    """

    manifest: Manifest
    unchanged: bool
    seconds: dict[str, float]


def run_pipeline(pipeline: Pipeline, progress: Progress) -> Outcome:
    """Make the pipeline's artifact, unless it is there already, and point its channel to it.

    A run that was cut off goes on where it stopped. Two runs of one pipeline wait for each other.

    Raises:
        VerdictError: the gate failed, now or for the same artifact before; nothing is published.
        InputError: the source, a dataset or a setting is wrong.
        EnvironmentFailure: a worker, Ray or the object store failed.
    """
    with locks.exclusive(
        state_dir("pipelines") / f"{pipeline.name}.lock",
        on_wait=lambda: progress.note(f"waiting for another run of {pipeline.name}"),
    ):
        return _Run(pipeline, progress).run()


@dataclass
class _Run:
    """One run: what it needs in every stage, and how long each took."""

    pipeline: Pipeline
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> Outcome:
        with self._timed("resolve"):
            inputs = resolve(self.pipeline, self.progress)
        with open_store(self.pipeline.store, self.progress) as store:
            published = store.manifest(self.pipeline.name, inputs.fingerprint)
            if published:
                return self._promote(store, published)
            store.check_writable(self.pipeline.name)  # before hours are spent
            workspace = Workspace(self.pipeline.name, inputs.fingerprint)
            figures = self._make(inputs, workspace)
            self._require_pass(figures, "nothing was published")
            with self._timed("publish"):
                manifest = store.publish(workspace.artifact, self._draft(inputs, figures), self.progress)
            outcome = self._promote(store, manifest)
            workspace.discard_artifact()
            return outcome

    def _promote(self, store: Store, manifest: Manifest) -> Outcome:
        """Point the channel to a published artifact, if it still passes the gate and is not pointed to already."""
        name, wanted = self.pipeline.name, manifest.fingerprint
        published_now = "publish" in self.seconds
        self._require_pass(
            gate.figures_of(manifest.gate.figures), f"{name}@{self.pipeline.channel} was not moved"
        )
        channel = store.channel(name, self.pipeline.channel)
        if channel and _rolled_back_from(channel, wanted):
            raise VerdictError(
                f"{name}@{self.pipeline.channel} was rolled back from this very artifact, {wanted[:12]}",
                hint="change the pipeline, or put it back:"
                f" shipfit artifacts promote {name}@{wanted[:12]} {self.pipeline.channel}",
            )
        if channel and channel.fingerprint == wanted:
            if not published_now:
                self.progress.note(
                    f"unchanged: {name}@{self.pipeline.channel} is {wanted[:12]}, made of the same already"
                )
            return Outcome(manifest, unchanged=not published_now, seconds=self.seconds)
        with self._timed("promote"):
            store.promote(name, self.pipeline.channel, wanted)
        return Outcome(manifest, unchanged=False, seconds=self.seconds)

    def _make(self, inputs: Inputs, workspace: Workspace) -> gate.Figures:
        """Quantize and measure, as far as an earlier run has not done it."""
        quantized, measured = workspace.finished("quantize"), workspace.finished("gate")
        if quantized and measured:
            self.progress.note("quantized and measured by an earlier run")
            return gate.figures_of(measured)
        require_ray()
        ensure(inputs.engine.name, inputs.engine.accelerator, self.progress)
        with local_cluster(self.progress) as cluster:
            if quantized:
                self.progress.note("quantized by an earlier run")
            else:
                self._quantize(inputs, workspace, cluster)
            return self._measure(inputs, workspace, cluster)

    def _quantize(self, inputs: Inputs, workspace: Workspace, cluster: Cluster) -> None:
        output = workspace.begin_artifact()
        request = {
            "recipe": self.pipeline.recipe.model_dump(mode="json"),
            "source": str(inputs.source.path),
            "output": str(output),
            "texts": [str(text) for text in inputs.calibration.texts],
            **sampling(self.pipeline, "calibration"),
        }
        stage = _stage("quantize", "quantizing", inputs.engine.worker, inputs, workspace, cluster, request)
        with self._timed("quantize"):
            result = self._run_worker("calibration", stage, inputs, cluster)
            workspace.keep_artifact(output)
            workspace.finish("quantize", result)

    def _measure(self, inputs: Inputs, workspace: Workspace, cluster: Cluster) -> gate.Figures:
        request = {
            "source": str(inputs.source.path),
            "artifact": str(workspace.artifact),
            "texts": [str(text) for text in inputs.held_out.texts],
            **sampling(self.pipeline, "gate"),
        }
        stage = _stage("gate", "measuring the artifact", gate.WORKER, inputs, workspace, cluster, request)
        with self._timed("gate"):
            result = self._run_worker("gate", stage, inputs, cluster)
            workspace.finish("gate", result)
        return gate.figures_of(result)

    def _run_worker(self, part: Part, stage: Stage, inputs: Inputs, cluster: Cluster) -> dict[str, Any]:
        try:
            return cluster.run(stage, inputs.engine.accelerator, self.progress)
        except WorkerError as error:
            if error.kind == "TooLittleTextError":
                raise too_little_text(self.pipeline, part, int(error.detail)) from error
            raise

    def _require_pass(self, figures: gate.Figures, otherwise: str) -> None:
        verdict = gate.decide(figures, self.pipeline.gate)
        if not verdict.passed:
            raise VerdictError(
                f"the gate failed, {otherwise}: {'; '.join(verdict.failures)}",
                hint="choose a less aggressive recipe, calibrate on more text, or move the limit in gate",
            )

    def _draft(self, inputs: Inputs, figures: gate.Figures) -> ManifestDraft:
        return ManifestDraft(
            name=self.pipeline.name,
            fingerprint=inputs.fingerprint,
            source=documents.Source(model=self.pipeline.source, revision=inputs.source.revision),
            recipe=self.pipeline.recipe.model_dump(mode="json"),
            engine=documents.Engine(
                name=inputs.engine.name, version=inputs.engine.version, lock_sha256=inputs.engine.lock_sha256
            ),
            dataset=documents.Dataset(
                calibration_sha256=inputs.calibration.digest, gate_sha256=inputs.held_out.digest
            ),
            gate=gate.result(figures, self.pipeline.gate),
            source_bytes=weight_bytes(inputs.source.path),
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun = time.monotonic()
        with self.progress.step(stage):
            yield
        self.seconds[stage] = round(time.monotonic() - begun, 1)


def _rolled_back_from(channel: Channel, fingerprint: str) -> bool:
    """Whether somebody took the channel off this artifact: a schedule must not put it back."""
    moves = channel.moves
    return len(moves) > 1 and moves[-1].action == "rollback" and moves[-2].fingerprint == fingerprint


def _stage(
    name: str,
    doing: str,
    script: Path,
    inputs: Inputs,
    workspace: Workspace,
    cluster: Cluster,
    request: dict[str, Any],
) -> Stage:
    environment = ensure(inputs.engine.name, inputs.engine.accelerator)
    return Stage(
        doing=doing,
        python=environment.python,
        script=script,
        modules=INSIDE,
        request=request,
        log=workspace.log(name),
        threads=cluster.cpus,
    )
