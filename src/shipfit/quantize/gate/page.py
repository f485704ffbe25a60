"""The gate's verdict as a page: figures beside their limits, where the artifact differs, what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from shipfit.artifacts import ManifestDraft
from shipfit.core.pages import number, render_page, share
from shipfit.core.paths import write_atomically
from shipfit.quantize.gate.decide import Verdict
from shipfit.quantize.gate.evidence import Evidence, from_result
from shipfit.quantize.gate.plots import bar, strip

_TITLES = {
    "mean_kl": "Divergence from the source, mean, nats a token",
    "p99_kl": "Divergence, 99th percentile, nats",
    "top1_agreement": "Same most likely token",
    "perplexity_ratio": "Perplexity, of the source’s",
    "recovery": "Score in the benchmarks, of the source’s",
    "faulty": "Faulty answers",
    "faults": "Layers in which the engine failed",
    "structure_faults": "Faults in the files",
}
_SHARES = {"top1_agreement", "recovery"}
_LOSSLESS = {"top1_agreement": 1.0, "recovery": 1.0, "perplexity_ratio": 1.0}
"""What a figure is where nothing is lost; 0 of all others."""
_COUNTS = {"faulty", "faults", "structure_faults"}
_ALSO = {
    "source_perplexity": "Perplexity of the source",
    "artifact_perplexity": "Perplexity of the artifact",
    "positions": "Positions compared",
    "greedy_agreement": "Greedy answers alike, from their beginning",
    "first_token_agreement": "Answers that begin alike",
}
"""Figures that no limit is set to."""


@dataclass(frozen=True)
class Row:
    """A limit beside what was measured."""

    title: str
    measured: str
    interval: str
    limit: str
    kept: bool | None
    """None where there is a reason that it was not measured."""
    bar: Markup


def write_page(path: Path, draft: ManifestDraft, verdict: Verdict) -> None:
    """Write the page.

    Args:
        path: the file; its folder must exist.
        draft: of the artifact, whether it passed or not.
        verdict: of the gate.

    Raises:
        EnvironmentFailure: the disk is full or the folder not writable.
    """
    write_atomically(path, render(draft, verdict))


def render(draft: ManifestDraft, verdict: Verdict) -> str:
    """The page as text."""
    evidence, limits = from_result(draft.gate), draft.gate.limits
    details = evidence.details
    windows: Any = details.get("distribution", {}).get("windows", [])
    return render_page(
        "shipfit.quantize.gate",
        "page.html.jinja",
        draft=draft,
        verdict=verdict,
        evidence=evidence,
        details=details,
        tiles=_tiles(evidence, draft),
        rows=[
            _row(evidence, verdict, name, limit) for name, limit in limits.items() if name != "max_regression"
        ],
        also=[
            (
                title,
                number(evidence.figures[name]) if name != "positions" else f"{evidence.figures[name]:,.0f}",
            )
            for name, title in _ALSO.items()
            if name in evidence.figures
        ],
        plots=_plots(windows, limits) if len(windows) > 1 else {},
        versions=_versions(details),
    )


def _tiles(evidence: Evidence, draft: ManifestDraft) -> list[tuple[str, str, str]]:
    """Title, figure and unit of what is seen first."""
    figures, stored = evidence.figures, evidence.details.get("structure", {}).get("bytes")
    tiles = [
        (title, _said(name, figures[name]), unit)
        for name, title, unit in (
            ("mean_kl", "Divergence, mean", "nats"),
            ("top1_agreement", "Same most likely token", ""),
            ("perplexity_ratio", "Perplexity, of the source’s", ""),
        )
        if name in figures
    ]
    if isinstance(stored, int) and draft.source_bytes:
        tiles.append(("Bytes, of the source’s", share(stored / draft.source_bytes), ""))
    return tiles


def _row(evidence: Evidence, verdict: Verdict, name: str, limit: float) -> Row:
    figure, least = name[4:], name.startswith("min_")
    measured = evidence.figures.get(figure)
    asked = f"{'at least' if least else 'at most'} {_said(figure, limit)}"
    title = _TITLES.get(figure, figure)
    if measured is None:
        unexplained = f"{figure} was not measured" in verdict.failures
        return Row(title, "not measured", "", asked, False if unexplained else None, Markup())
    low, high = evidence.intervals.get(figure, (measured, measured))
    kept = math.isfinite(measured) and (measured >= limit if least else measured <= limit)
    interval = f"{_said(figure, low)} to {_said(figure, high)}" if figure in evidence.intervals else ""
    drawn = (
        Markup()
        if figure in _COUNTS
        else bar(measured, low, high, limit, lossless=_LOSSLESS.get(figure, 0.0))
    )
    return Row(title, _said(figure, measured), interval, asked, kept, drawn)


def _said(figure: str, value: float) -> str:
    """A figure with as many digits as tell something."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if figure in _COUNTS:
        return f"{value:,.0f}"
    if figure in _SHARES:
        return f"{value:.1%}"
    return f"{value:.3f}" if figure == "perplexity_ratio" else f"{value:.3g}"


def _plots(windows: Sequence[Mapping[str, Any]], limits: Mapping[str, float]) -> dict[str, Markup]:
    return {
        "divergence": strip(
            [window["mean_kl"] for window in windows],
            limits.get("max_mean_kl"),
            "Mean divergence of each window of text, in nats a token",
        ),
        "agreement": strip(
            [100 * (1 - window["top1_agreement"]) for window in windows],
            100 * (1 - limits["min_top1_agreement"]) if "min_top1_agreement" in limits else None,
            "Positions of each window at which the most likely token is another, in percent",
        ),
    }


def _versions(details: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What made and measured it: the part, and its packages with their versions."""
    names = {"quantize": "Quantized with", "distribution": "Compared in", "tasks": "Benchmarks"}
    names["generation"] = "Answers by"
    return [
        (title, ", ".join(f"{package} {version}" for package, version in details[part]["versions"].items()))
        for part, title in names.items()
        if isinstance(details.get(part, {}).get("versions"), dict)
    ]
