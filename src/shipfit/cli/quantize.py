"""``shipfit quantize``: run a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, PipelineFile, emit, progress

if TYPE_CHECKING:
    from shipfit.quantize import Outcome
    from shipfit.spec import Pipeline


def quantize(
    pipeline: PipelineFile,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="URL",
            help="Run it on a Ray cluster: http://HOST:8265 (its dashboard), or auto on a machine of one.",
        ),
    ] = None,
    rayjob: Annotated[
        Path | None,
        typer.Option(
            "--rayjob",
            metavar="FILE",
            help="In a pod: leave what has to be made to a RayJob of KubeRay like the one in this file.",
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(
            "--metrics", metavar="FILE", help="Write the run's figures here, in Prometheus' text format."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Quantize a model, measure what it lost, publish it, and point its channel to it.

    What is done already is not repeated, and a run that was cut off goes on where it stopped: run it on a schedule,
    and it ends at once with "unchanged" until the model, the text or the recipe is another. Exit code 1 where the gate
    fails: then nothing is published.

    Example: shipfit quantize pipelines/gemma-3-270m-gptq-w4a16.yaml
    """
    from shipfit.core.errors import InputError, ShipfitError
    from shipfit.quantize import run_pipeline, write_metrics
    from shipfit.quantize.cluster.address import is_elsewhere
    from shipfit.quantize.cluster.rayjob import by_rayjob
    from shipfit.spec import Pipeline, load

    spec = load(pipeline, Pipeline)
    if rayjob and address:
        raise InputError("names another Ray than --rayjob does", hint="leave one out", where="--address")
    if address is not None and is_elsewhere(address):
        from shipfit.quantize.cluster.jobs import run_job

        if metrics:
            raise InputError(
                "a job of a cluster elsewhere does not know its stages' figures here",
                hint="leave it out, or run the command on the cluster with --address auto",
                where="--metrics",
            )
        emit(run_job(address, spec, progress()), as_json=as_json, render=_render)
        return
    try:
        elsewhere = by_rayjob(rayjob, progress()) if rayjob else None
        outcome = run_pipeline(spec, progress(), address, elsewhere)
    except ShipfitError as error:
        if metrics:
            write_metrics(metrics, spec.name, error)
        raise
    if metrics:
        write_metrics(metrics, spec.name, outcome)
    emit(_facts(spec, outcome), as_json=as_json, render=_render)


def _facts(spec: Pipeline, outcome: Outcome) -> dict[str, Any]:
    manifest = outcome.manifest
    return {
        "name": manifest.name,
        "channel": spec.channel,
        "fingerprint": manifest.fingerprint,
        "unchanged": outcome.unchanged,
        "source": manifest.source.model_dump(),
        "recipe": manifest.recipe,
        "weight_bytes_before": manifest.source_bytes,
        "weight_bytes_after": manifest.weight_bytes,
        "gate": outcome.gate.model_dump(mode="json"),
        "choice": manifest.choice,
        "seconds": outcome.seconds,
        "page": str(outcome.page) if outcome.page else None,
    }


def _render(facts: dict[str, Any]) -> None:
    from rich.console import Console

    before, after = facts["weight_bytes_before"], facts["weight_bytes_after"]
    lines = {
        "artifact": f"{facts['name']}@{facts['channel']}" + (" (unchanged)" if facts["unchanged"] else ""),
        "fingerprint": facts["fingerprint"],
        "source": f"{facts['source']['model']} ({facts['source']['revision']})",
        "weights": f"{before / 1e6:,.0f} MB -> {after / 1e6:,.0f} MB ({facts['recipe']['precision']} by"
        f" {facts['recipe']['engine']})",
        "quality": _quality(facts["gate"]["figures"]),
        "time": ", ".join(f"{stage} {value:g} s" for stage, value in facts["seconds"].items()),
        "gate": facts["page"],
    }
    console = Console(highlight=False, soft_wrap=True)
    for row in facts["choice"]:
        console.print(f"{'recipe':<12} {row['recipe']}: {row['reason']}", markup=False)
    for name, value in lines.items():
        if value:
            console.print(f"{name:<12} {value}", markup=False)


def _quality(figures: dict[str, float]) -> str:
    return (
        f"mean KL {figures['mean_kl']:.3f}, p99 {figures['p99_kl']:.2f} nats; same top token at"
        f" {figures['top1_agreement']:.1%} of {figures['positions']:,.0f} positions; perplexity"
        f" {figures['source_perplexity']:.1f} -> {figures['artifact_perplexity']:.1f}"
    )
