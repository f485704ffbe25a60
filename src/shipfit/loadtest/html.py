"""The report as one page that needs nothing else: no scripts, no fonts, no addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipfit.artifacts import Manifest
from shipfit.core.pages import number, render_page, share
from shipfit.core.paths import write_atomically
from shipfit.loadtest import charts
from shipfit.loadtest.report import Check, LoadTestReport
from shipfit.sizing import Plan

_NAMES = {
    "ttft_p95_ms": "Time to first token, p95",
    "tpot_p95_ms": "Time per output token, p95",
    "e2e_p95_ms": "Whole request, p95",
    "error_rate": "Failed requests",
}

_GATE = {
    "mean_kl": ("Mean KL divergence from the source, nats a token", "max_mean_kl", "at most"),
    "p99_kl": ("99th percentile of KL divergence, nats", "max_p99_kl", "at most"),
    "top1_agreement": ("Same most likely token", "min_top1_agreement", "at least"),
    "perplexity_ratio": ("Perplexity against the source", "max_perplexity_ratio", "at most"),
}


_SOURCE_NOTES = {
    "bundled:gemma-3-270m": "The source was itself restored from 4-bit weights (GGUF Q4_K_M): it has lost already what"
    " those lose, and the figures are against it.",
}
"""What to know of a source model when reading how far an artifact is from it."""


def write_html(path: Path, report: LoadTestReport, plan: Plan, manifest: Manifest | None = None) -> None:
    """Write the page.

    Args:
        path: the file; its folder must exist.
        manifest: of the artifact that is served, where one is.

    Raises:
        EnvironmentFailure: the disk is full or the folder not writable.
    """
    write_atomically(path, render(report, plan, manifest))


def render(report: LoadTestReport, plan: Plan, manifest: Manifest | None = None) -> str:
    """The page as text."""
    return render_page(
        "shipfit.loadtest",
        "report.html.jinja",
        report=report,
        plan=plan,
        manifest=manifest,
        source_note=_SOURCE_NOTES.get(manifest.source.model, "") if manifest else "",
        gate=gate_rows(manifest) if manifest else [],
        checks=[(_NAMES[check.name], check, _margin(check)) for check in report.verdict.checks],
        charts=_charts(report),
    )


def gate_rows(manifest: Manifest) -> list[tuple[str, float, str, float | None]]:
    """What the gate measured: name, figure, ``at most`` or ``at least``, limit."""
    return [
        (title, manifest.gate.figures[name], sense, manifest.gate.limits.get(limit))
        for name, (title, limit, sense) in _GATE.items()
        if name in manifest.gate.figures
    ]


def _margin(check: Check) -> str:
    """By how much a limit was kept or missed."""
    if check.measured is None:
        return "nothing was measured"
    gap = abs(check.limit - check.measured)
    side = "below" if check.measured <= check.limit else "above"
    if check.unit == "share":
        return (
            f"{share(gap)} {side}"
            if gap
            else "none allowed, none failed"
            if check.limit == 0
            else "at the limit"
        )
    return f"{number(gap)} ms ({gap / check.limit:.0%}) {side}"


def _charts(report: LoadTestReport) -> dict[str, Any]:
    good = [record for record in report.records if record.succeeded]
    values = {
        "first token": [record.ttft_ms for record in good],
        "whole request": [record.e2e_ms for record in good],
    }
    return {
        "ttft": charts.dots(
            report.records,
            lambda record: record.ttft_ms,
            duration_s=report.workload.duration_s,
            limit_ms=report.slo.ttft_p95_ms,
            label="Time to first token of each request, in milliseconds, over the seconds of the test",
        ),
        "e2e": charts.dots(
            report.records,
            lambda record: record.e2e_ms,
            duration_s=report.workload.duration_s,
            limit_ms=report.slo.e2e_p95_ms,
            label="Duration of each whole request, in milliseconds, over the seconds of the test",
        ),
        "cumulative": charts.cumulative(
            [(name, [value for value in each if value is not None]) for name, each in values.items()],
            "Share of requests, in percent, that took at most so many milliseconds",
        ),
    }
