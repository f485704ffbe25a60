"""Writes docs/precisions.md: what every precision made of the bundled model, from the manifests of its artifacts.

Run by ``make precisions`` after the pipelines ``pipelines/gemma-3-270m-*.yaml``, whose artifacts lie in the embedded
store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.artifacts import Manifest, Store, open_store
from shipfit.core.progress import NoProgress
from shipfit.hardware import CPU, gpu
from shipfit.models import load_facts
from shipfit.sizing import Pool, make_plan
from shipfit.spec import Deployment, Hardware, Pipeline, Precision, Promise, load
from shipfit.spec.base import API_VERSION

REPOSITORY = Path(__file__).parent.parent
PAGE = REPOSITORY / "docs" / "precisions.md"

_HEAD = """\
# Precisions

What each engine and precision made of the bundled model, Gemma 3 270M, as its manifest says. Written by
`make precisions`, which runs `pipelines/gemma-3-270m-*.yaml` one after the other.

The model was packaged at 4 bits and has lost once already what 4 bits lose, and it is small: a model of 70 billion
parameters loses far less. Losses are measured on held-out text against the 16-bit model that the package holds.
"Served" is the gate's question to the engine that serves the artifact, on this machine's processor.

| pipeline | engine | MB | quantize, s | mean KL, nats | same top token | perplexity | served |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """An artifact in the table."""

    manifest: Manifest
    served: str


def pipelines() -> list[Path]:
    """The pipeline files, sorted."""
    return sorted((REPOSITORY / "pipelines").glob("gemma-3-270m-*.yaml"))


def row(store: Store, pipeline: Pipeline) -> Row:
    """What became of a pipeline."""
    manifest = store.accepted(pipeline.name, store.resolve(pipeline.name, pipeline.channel))
    return Row(manifest, served(manifest))


def served(manifest: Manifest) -> str:
    """How the serving engine answered the gate; where it could not be asked, why it cannot serve the precision here."""
    asked: Any = manifest.gate.details.get("generation", {})
    if "skipped" in asked:
        return f"no: {kernel_objection(Precision(str(manifest.recipe['precision']))) or asked['skipped']}"
    figures = manifest.gate.figures
    return f"yes, {figures['greedy_agreement']:.0%} of the answers as the source's"


def kernel_objection(precision: Precision) -> str | None:
    """What the plan says against serving the bundled model in a precision on this machine's processor."""
    from shipfit.core.errors import VerdictError

    deployment = Deployment(
        apiVersion=API_VERSION,
        kind="Deployment",
        name="check",
        model="bundled:gemma-3-270m",
        precision=precision,
        hardware=[Hardware(gpu=CPU)],
        promise=Promise(context=1024, concurrency=1),
    )
    try:
        make_plan(deployment, load_facts(deployment.model), [Pool(gpu(CPU), (1,))])
    except VerdictError as error:
        return error.message
    return None


def table(rows: list[Row]) -> str:
    """The page."""
    return _HEAD + "".join(_line(each) for each in rows)


def _line(row: Row) -> str:
    manifest, figures = row.manifest, row.manifest.gate.figures
    quantize: Any = manifest.gate.details["quantize"]
    cells = (
        manifest.name.removeprefix("gemma-3-270m-"),
        f"{manifest.engine.name} {manifest.engine.version}",
        f"{manifest.weight_bytes / 1e6:,.0f}",
        f"{quantize['seconds']:.0f}",
        f"{figures['mean_kl']:.4f}",
        f"{figures['top1_agreement']:.1%}",
        f"x {figures['perplexity_ratio']:.3f}",
        row.served,
    )
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Write the page."""
    with open_store(None, NoProgress()) as store:
        rows = [row(store, load(path, Pipeline)) for path in pipelines()]
    PAGE.write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
