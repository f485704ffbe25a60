"""``shipfit loadtest``: real traffic to a deployment that is up, judged by its SLO, beside its plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shipfit.cli.context import AsJson, DeploymentFile, emit, progress


def loadtest(
    file: DeploymentFile,
    as_json: AsJson = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write the HTML page here, and the JSON document beside it."),
    ] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="Record the verdict on the artifact, for the policy of its channels."),
    ] = False,
) -> None:
    """Load-test a deployment of this machine that is up: its workload, its SLO, and its plan beside the figures.

    Exit code 1 where the SLO was missed, 4 where the client did not keep up.

    Example: shipfit loadtest deploy/demo/gemma-3-270m.yaml
    """
    from shipfit.artifacts import open_store, pulled_manifest
    from shipfit.core.errors import EnvironmentFailure, InputError, VerdictError
    from shipfit.loadtest import compare, run_load_test, save_report
    from shipfit.loadtest.run import require_workload
    from shipfit.serve.local import running
    from shipfit.serve.measured import measured_memory
    from shipfit.spec import Deployment, load

    deployment = load(file, Deployment)
    require_workload(deployment)
    target = running(deployment.name)
    if target is None:
        raise EnvironmentFailure(f"{deployment.name} is not up", hint=f"start it with `shipfit up {file}`")
    manifest = pulled_manifest(target.model_path)
    if record and manifest is None:
        raise InputError(
            "serves no artifact that the verdict could be recorded on",
            hint="leave --record out, or set artifact",
            where=str(file),
        )
    result = run_load_test(deployment, target, progress())
    comparison = compare(target.plan, result, measured_memory(deployment.name))
    page = save_report(result, comparison, target.plan, manifest, report)
    if record and manifest:
        with open_store(deployment.store, progress()) as store:
            store.record_verdict(
                manifest.name,
                manifest.fingerprint,
                "load-test",
                result.verdict.passed,
                result.model_dump(mode="json", exclude={"records"}),
            )
    facts = result.model_dump(mode="json", exclude={"records"})
    facts |= {"comparison": comparison.model_dump(mode="json"), "page": str(page)}
    emit(facts, as_json=as_json, render=_render)
    missed = [check for check in result.verdict.checks if not check.passed]
    if missed:
        raise VerdictError(f"the SLO was missed: {'; '.join(_missed(check) for check in missed)}")


def _missed(check: Any) -> str:
    if check.measured is None:
        return f"{check.name} could not be measured, as no request succeeded"
    if check.unit == "share":
        return f"{check.name} is {check.measured:.1%}, at most {check.limit:.1%} was promised"
    over = check.measured - check.limit
    return f"{check.name} is {check.measured:.0f} ms, {over:.0f} over the limit of {check.limit:.0f}"


def _render(facts: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    rates = facts["throughput"]
    console.print(
        f"{facts['succeeded']} of {facts['requests']} requests answered, "
        f"{rates['achieved_rate']:.2f} of {rates['requested_rate']:.2f} requests/s sent, "
        f"{rates['output_tokens_per_s']:.1f} output tokens/s",
        soft_wrap=True,
    )
    table = _table("ms", "mean", "p50", "p90", "p95", "p99")
    for key, label in _LATENCIES.items():
        if figure := facts["latency"][key]:
            table.add_row(label, *(f"{figure[name]:,.0f}" for name in ("mean", "p50", "p90", "p95", "p99")))
    console.print(table)
    _render_verdict(console, facts)
    if rows := facts["comparison"]["rows"]:
        table = _table("plan and measurement", "predicted", "measured", "ratio")
        for row in rows:
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
            label = f"{row['quantity']}, {row['unit']}"
            table.add_row(label, f"{row['predicted']:,.2f}", f"{row['measured']:,.2f}", ratio)
        console.print(table)
    for error in facts["errors"]:
        console.print(f"{error['count']} failed by {error['kind']}: {error['example']}", markup=False)
    for note in facts["notes"]:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"report: {facts['page']}", markup=False, soft_wrap=True)


_LATENCIES = {
    "ttft_ms": "time to first token",
    "tpot_ms": "time per output token",
    "e2e_ms": "whole request",
}


def _render_verdict(console: Any, facts: dict[str, Any]) -> None:
    table = _table("SLO", "at most", "measured", "verdict")
    for check in facts["verdict"]["checks"]:
        scale, form = (100, "{:.1f} %") if check["unit"] == "share" else (1, "{:,.0f} ms")
        measured = "" if check["measured"] is None else form.format(check["measured"] * scale)
        verdict = "[green]kept[/green]" if check["passed"] else "[red]missed[/red]"
        table.add_row(check["name"], form.format(check["limit"] * scale), measured, verdict)
    console.print(table)


def _table(first: str, *others: str) -> Any:
    from rich.table import Table

    table = Table(first, box=None)
    for title in others:
        table.add_column(title, justify="right")
    return table
