"""``shipfit quantize``: run a pipeline."""

from __future__ import annotations

from typing import Any

from shipfit.cli.context import AsJson, PipelineFile, emit, progress


def quantize(pipeline: PipelineFile, as_json: AsJson = False) -> None:
    """Quantize a model, measure what it lost, publish it, and point its channel to it.

    What is done already is not repeated; a run that was cut off goes on where it stopped. Exit code 1 where the gate
    fails: then nothing is published.

    Example: shipfit quantize pipelines/gemma-3-270m-gptq.yaml
    """
    from shipfit.quantize import run_pipeline
    from shipfit.spec import Pipeline, load

    spec = load(pipeline, Pipeline)
    outcome = run_pipeline(spec, progress())
    manifest = outcome.manifest
    facts = {
        "name": manifest.name,
        "channel": spec.channel,
        "fingerprint": manifest.fingerprint,
        "unchanged": outcome.unchanged,
        "source": manifest.source.model_dump(),
        "precision": spec.recipe.precision.value,
        "weight_bytes_before": manifest.source_bytes,
        "weight_bytes_after": manifest.weight_bytes,
        "gate": manifest.gate.model_dump(),
        "seconds": outcome.seconds,
    }
    emit(facts, as_json=as_json, render=_render)


def _render(facts: dict[str, Any]) -> None:
    from rich.console import Console

    before, after = facts["weight_bytes_before"], facts["weight_bytes_after"]
    figures = facts["gate"]["figures"]
    seconds = ", ".join(f"{stage} {value:g} s" for stage, value in facts["seconds"].items())
    lines = {
        "artifact": f"{facts['name']}@{facts['channel']}" + (" (unchanged)" if facts["unchanged"] else ""),
        "fingerprint": facts["fingerprint"],
        "source": f"{facts['source']['model']} ({facts['source']['revision']})",
        "weights": f"{before / 1e6:,.0f} MB -> {after / 1e6:,.0f} MB ({facts['precision']})",
        "quality": f"mean KL {figures['mean_kl']:.3f}, p99 {figures['p99_kl']:.2f} nats; same top token at"
        f" {figures['top1_agreement']:.1%} of {figures['positions']:,.0f} positions; perplexity"
        f" {figures['source_perplexity']:.1f} -> {figures['artifact_perplexity']:.1f}",
        "time": seconds,
    }
    console = Console(highlight=False, soft_wrap=True)
    for name, value in lines.items():
        console.print(f"{name:<12} {value}", markup=False)
