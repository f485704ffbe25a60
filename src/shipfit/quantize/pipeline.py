"""A pipeline from its source to its channel: resolve, preflight, quantize, gate, choose, publish, promote.

Each stage is done once: what is published, staged in the store or measured already is taken from there, whichever
machine did it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shipfit.artifacts import (
    Channel,
    GateResult,
    Manifest,
    ManifestDraft,
    Staged,
    Store,
    check_signer,
    open_store,
    signer_of,
)
from shipfit.artifacts import manifest as documents
from shipfit.core import locks
from shipfit.core.errors import EnvironmentFailure, ShipfitError, VerdictError
from shipfit.core.paths import state_dir
from shipfit.core.progress import Progress
from shipfit.quantize import gate
from shipfit.quantize.choice import Choice, Contender, choose, table
from shipfit.quantize.cluster import cluster_at, require_ray
from shipfit.quantize.inputs import Candidate, Inputs, resolve
from shipfit.quantize.making import Maker, Measured, measured_of, recorded
from shipfit.quantize.preflight import preflight
from shipfit.quantize.preflight.serving import serving_objection
from shipfit.quantize.provenance import write_provenance
from shipfit.quantize.workspace import Workspace
from shipfit.spec import Pipeline

PAGE = "gate.html"
"""What the gate's page is called in the artifact."""

Elsewhere = Callable[[Sequence[str]], ShipfitError | None]
"""Has another run of the same pipeline do what is missing, and waits for its end. Takes what names that work, the same
for the same work; returns why the run failed, None if it did not."""


@dataclass(frozen=True)
class Outcome:
    """What a run of a pipeline led to.

    Attributes:
        manifest: of the artifact that its channel points to now.
        gate: what was measured of it, and what it was held to.
        unchanged: nothing had to be done.
        seconds: by stage; only the stages that were run.
        page: the gate's page; None where nothing was measured.
    """

    manifest: Manifest
    gate: GateResult
    unchanged: bool
    seconds: dict[str, float]
    page: Path | None = None


def run_pipeline(
    pipeline: Pipeline, progress: Progress, address: str | None = None, elsewhere: Elsewhere | None = None
) -> Outcome:
    """Make the pipeline's artifact, unless it is there already, and point its channel to it.

    A run that was cut off goes on where it stopped. Two runs of one pipeline on a machine wait for each other.

    Args:
        pipeline: the spec.
        progress: told what is going on.
        address: of a running Ray; left out, one is started here for as long as it is needed.
        elsewhere: in place of a Ray; called only if something has to be made or measured.

    Raises:
        VerdictError: the gate failed, now or for the same artifact before; nothing is published.
        InputError: the source, a dataset or a setting is wrong.
        EnvironmentFailure: a worker, Ray or the object store failed.
    """
    with locks.exclusive(
        state_dir("pipelines") / f"{pipeline.name}.lock",
        on_wait=lambda: progress.note(f"waiting for another run of {pipeline.name}"),
    ):
        inputs = resolve(pipeline, progress)
        with open_store(pipeline.store, progress) as store:
            return _Run(inputs, store, progress, address, elsewhere).run()


class Refused(VerdictError):
    """Nothing was published, or not moved.

    Args:
        gate: what was measured of the only recipe; None where there are several.
    """

    def __init__(self, message: str, *, hint: str | None, gate: GateResult | None = None) -> None:
        super().__init__(message, hint=hint)
        self.gate = gate


class _Run:
    """One run of a pipeline whose inputs are known."""

    def __init__(
        self,
        inputs: Inputs,
        store: Store,
        progress: Progress,
        address: str | None,
        elsewhere: Elsewhere | None,
    ) -> None:
        self.inputs = inputs
        self.pipeline = inputs.pipeline
        self.store = store
        self.progress = progress
        self.address = address
        self.elsewhere = elsewhere
        self.made = False
        self.seconds: dict[str, float] = {}

    def run(self) -> Outcome:
        objections = {each.fingerprint: self._objection(each) for each in self.inputs.candidates}
        wanted = [each for each in self.inputs.candidates if objections[each.fingerprint] is None]
        made = self._made_of(wanted)
        measured = {fingerprint: each for fingerprint, each in made.items() if isinstance(each, Measured)}
        objections |= {
            fingerprint: f"could not be made: {each.message}"
            for fingerprint, each in made.items()
            if isinstance(each, ShipfitError)
        }
        previous = self._previous()
        contenders = [
            self._contender(each, objections[each.fingerprint], measured.get(each.fingerprint), previous)
            for each in self.inputs.candidates
        ]
        chosen = choose(contenders)
        choice = table(contenders, chosen) if self.pipeline.recipes else []
        published = self.store.manifest(self.pipeline.name, chosen.fingerprint) if chosen else None
        pages = {} if published and not self.seconds else self._pages(contenders, choice)
        if chosen is None:
            raise self._refused(contenders, list(pages.values()))
        candidate = next(each for each in wanted if each.fingerprint == chosen.fingerprint)
        draft = self._draft(candidate, chosen, choice)
        manifest = published or self._publish(
            measured[chosen.fingerprint].stored, draft, pages[chosen.fingerprint]
        )
        self._sign(manifest)
        unchanged = self._promote(manifest) and published is not None and not self.made
        if unchanged:
            self.progress.note(
                f"unchanged: {manifest.name}@{self.pipeline.channel} is {manifest.fingerprint[:12]}, made of the same"
                " already"
            )
        Workspace(self.pipeline.name, candidate.fingerprint).discard_artifact()
        return Outcome(manifest, draft.gate, unchanged, self.seconds, pages.get(candidate.fingerprint))

    def _objection(self, candidate: Candidate) -> str | None:
        """Of several recipes, those that cannot be served where the artifact is to go are not made at all."""
        if self.pipeline.recipes is None or self.pipeline.serving is None:
            return None
        why = serving_objection(self.pipeline, self.pipeline.serving, candidate.engine, self.inputs.facts)
        return f"cannot be served there: {why}" if why else None

    def _made_of(self, candidates: Sequence[Candidate]) -> dict[str, Measured | ShipfitError]:
        """What the gate measured of each, by fingerprint; made and measured now where it was not before."""
        known: dict[str, Measured | ShipfitError | None] = {}
        known |= {each.fingerprint: recorded(self.store, self.inputs, each) for each in candidates}
        missing = [each for each in candidates if known[each.fingerprint] is None]
        if missing:
            self.store.check_writable(self.pipeline.name)  # before hours are spent
            check_signer(self.pipeline, self.progress)
            known |= self._made_elsewhere(self.elsewhere, missing) if self.elsewhere else self._made(missing)
            self.made = True
        made = {fingerprint: found for fingerprint, found in known.items() if found}
        failures = [each for each in made.values() if isinstance(each, ShipfitError)]
        if failures and len(failures) == len(made):
            raise failures[0]
        return made

    def _made(self, missing: Sequence[Candidate]) -> dict[str, Measured | ShipfitError]:
        needs = {
            each.fingerprint: preflight(
                self.pipeline, each.engine, self.inputs.facts, self.progress, here=self.address is None
            )
            for each in missing
        }
        require_ray()
        with cluster_at(self.address, self.progress) as cluster:
            maker = Maker(self.inputs, self.store, cluster, self.progress)
            made = maker.make_all(missing, needs)
            self.seconds = maker.seconds
        return made

    def _made_elsewhere(
        self, elsewhere: Elsewhere, missing: Sequence[Candidate]
    ) -> dict[str, Measured | ShipfitError]:
        """Whether it went well is told by what is recorded then: a run whose gate failed has recorded that too."""
        failure = elsewhere([*(each.fingerprint for each in missing), self.inputs.gate_digest])
        made = {each.fingerprint: recorded(self.store, self.inputs, each) for each in missing}
        if failure and None in made.values():
            raise failure
        untold = EnvironmentFailure(
            "the other run ended well, and recorded nothing of what was asked",
            hint="let both use the same shipfit and see the same pipeline",
        )
        return {fingerprint: each or untold for fingerprint, each in made.items()}

    def _previous(self) -> tuple[str, gate.Evidence] | None:
        """What the channel points to now, and what was measured of it."""
        channel = self.store.channel(self.pipeline.name, self.pipeline.channel)
        manifest = self.store.manifest(self.pipeline.name, channel.fingerprint) if channel else None
        if manifest is None:
            return None
        measured = measured_of(self.store, manifest, self.inputs.gate_digest)
        return manifest.fingerprint, measured or gate.from_result(manifest.gate)

    def _contender(
        self,
        candidate: Candidate,
        objection: str | None,
        measured: Measured | None,
        previous: tuple[str, gate.Evidence] | None,
    ) -> Contender:
        evidence, verdict = measured.evidence if measured else None, None
        if evidence:
            before = previous[1] if previous and previous[0] != candidate.fingerprint else None
            verdict = gate.decide(evidence, self._limits(candidate), before)
        quantized = evidence.details.get("quantize", {}) if evidence else {}
        return Contender(
            candidate.label,
            candidate.fingerprint,
            int(str(quantized.get("weight_bytes", 0))),
            evidence,
            verdict,
            objection,
        )

    def _limits(self, candidate: Candidate) -> dict[str, float]:
        return gate.limits_of(self.pipeline.gate, candidate.recipe.precision)

    def _refused(self, contenders: Sequence[Contender], pages: Sequence[Path]) -> Refused:
        hint = "choose a less aggressive recipe, calibrate on more text, or move the limit in gate"
        if pages:
            hint += f"; read {', '.join(map(str, pages))}"
        if len(contenders) == 1:
            (only,) = contenders
            name = self.pipeline.name
            before = self.store.manifest(name, only.fingerprint)
            left = f"{name}@{self.pipeline.channel} was not moved" if before else "nothing was published"
            (candidate,) = self.inputs.candidates
            measured = self._draft(candidate, only, []).gate
            return Refused(f"the gate failed, {left}: {only.reason}", hint=hint, gate=measured)
        told = "; ".join(f"{each.label}: {each.reason}" for each in contenders)
        return Refused(f"none of {len(contenders)} recipes may be published: {told}", hint=hint)

    def _publish(self, stored: Manifest | Staged, draft: ManifestDraft, page: Path) -> Manifest:
        """Commit what was measured, with the gate's page, a model card and a bill of materials."""
        if isinstance(stored, Manifest):  # it was published when it was measured, and was removed meanwhile
            raise EnvironmentFailure(f"{self.store.label}: {draft.name} is gone", hint="run it again")
        licence = gate.from_result(draft.gate).details.get("quantize", {}).get("licence")
        with self._timed("publish"), tempfile.TemporaryDirectory() as scratch:
            extra = Path(scratch)
            shutil.copyfile(page, extra / PAGE)
            write_provenance(extra, draft, stored, str(licence) if licence else None)
            return self.store.commit(draft, stored, self.progress, extra)

    def _sign(self, manifest: Manifest) -> None:
        """Sign what is published. A key knows that it has done so; an identity would sign again at every run."""
        signer = signer_of(self.pipeline)
        if signer and not (signer.private_key is None and self._identified(manifest)):
            self.store.sign(manifest.name, manifest.fingerprint, signer, self.progress)

    def _identified(self, manifest: Manifest) -> bool:
        return any(each.identity for each in self.store.signatures(manifest.name, manifest.fingerprint))

    def _pages(self, contenders: Sequence[Contender], choice: Choice) -> dict[str, Path]:
        """The gate's page of each that was measured, kept on this machine whether it passed or not."""
        pages = {}
        for candidate, contender in zip(self.inputs.candidates, contenders, strict=True):
            if contender.verdict:
                path = Workspace(self.pipeline.name, candidate.fingerprint).folder / PAGE
                gate.write_page(path, self._draft(candidate, contender, choice), contender.verdict)
                pages[candidate.fingerprint] = path
        return pages

    def _draft(self, candidate: Candidate, contender: Contender, choice: Choice) -> ManifestDraft:
        inputs, engine = self.inputs, candidate.engine
        evidence = contender.evidence or gate.Evidence()
        passed = contender.verdict is not None and contender.verdict.passed
        limits = self._limits(candidate)
        return ManifestDraft(
            name=self.pipeline.name,
            fingerprint=candidate.fingerprint,
            source=documents.Source(model=self.pipeline.source, revision=inputs.revision),
            recipe=engine.recipe,
            engine=documents.Engine(name=engine.name, version=engine.version, lock_sha256=engine.lock_sha256),
            dataset=documents.Dataset(
                calibration_sha256=inputs.calibration.digest if engine.calibrates else None,
                gate_sha256=inputs.held_out.digest,
            ),
            gate=gate.to_result(evidence, limits, passed=passed, digest=inputs.gate_digest),
            source_bytes=int(str(evidence.details.get("quantize", {}).get("source_bytes", 0))),
            choice=choice,
        )

    def _promote(self, manifest: Manifest) -> bool:
        """Point the channel to a published artifact; whether it was pointed to already."""
        name, wanted = self.pipeline.name, manifest.fingerprint
        channel = self.store.channel(name, self.pipeline.channel)
        if channel and _rolled_back_from(channel, wanted):
            raise VerdictError(
                f"{name}@{self.pipeline.channel} was rolled back from this very artifact, {wanted[:12]}",
                hint="change the pipeline, or put it back:"
                f" shipfit artifacts promote {name}@{wanted[:12]} {self.pipeline.channel}",
            )
        if channel and channel.fingerprint == wanted:
            return True
        with self._timed("promote"):
            self.store.promote(name, self.pipeline.channel, wanted, self.progress)
        return False

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
