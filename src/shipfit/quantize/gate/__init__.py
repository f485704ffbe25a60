"""The gate: figures measured on held-out text, the limits of the spec, and what follows from both.

A pure function decides; ``worker.py`` measures, in the engine's environment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from shipfit.artifacts.manifest import GateResult
from shipfit.spec import Gate

WORKER = Path(__file__).with_name("worker.py")
"""The script that measures."""


@dataclass(frozen=True)
class Figures:
    """How far an artifact is from its source, over all positions of the held-out windows.

    Attributes:
        positions: next-token distributions compared.
        mean_kl: mean Kullback-Leibler divergence KL(source || artifact) of them, in nats.
        p99_kl: its 99th percentile, in nats.
        top1_agreement: share of positions at which both models' most likely token is the same.
        source_perplexity, artifact_perplexity: e to the mean negative log-likelihood of the real text.
        perplexity_ratio: the artifact's divided by the source's.
    """

    positions: int
    mean_kl: float
    p99_kl: float
    top1_agreement: float
    source_perplexity: float
    artifact_perplexity: float
    perplexity_ratio: float


@dataclass(frozen=True)
class Verdict:
    """What the gate decides.

    Attributes:
        passed: whether every limit holds.
        reasons: a line for each limit: what was measured, what was asked.
        failures: those of the reasons for which it did not pass.
    """

    passed: bool
    reasons: tuple[str, ...]
    failures: tuple[str, ...]


def decide(figures: Figures, gate: Gate) -> Verdict:
    """Compare figures with the limits of a spec. A figure that is not a number fails, as it would any reader."""
    checks: tuple[tuple[str, float, str, float, Callable[[float, float], bool]], ...] = (
        ("mean_kl", figures.mean_kl, "max_mean_kl", gate.max_mean_kl, float.__le__),
        ("p99_kl", figures.p99_kl, "max_p99_kl", gate.max_p99_kl, float.__le__),
        (
            "top1_agreement",
            figures.top1_agreement,
            "min_top1_agreement",
            gate.min_top1_agreement,
            float.__ge__,
        ),
        (
            "perplexity_ratio",
            figures.perplexity_ratio,
            "max_perplexity_ratio",
            gate.max_perplexity_ratio,
            float.__le__,
        ),
    )
    reasons, failures = [], []
    for name, measured, limit_name, limit, holds in checks:
        if math.isfinite(measured) and holds(float(measured), float(limit)):
            reasons.append(f"{name} {measured:.4g} is within {limit_name} {limit:.4g}")
        else:
            reasons.append(
                f"{name} {measured:.4g} misses {limit_name} {limit:.4g} by {abs(measured - limit):.4g}"
            )
            failures.append(reasons[-1])
    return Verdict(not failures, tuple(reasons), tuple(failures))


def figures_of(measured: Mapping[str, float]) -> Figures:
    """Figures as a worker or a manifest gives them."""
    names = [field.name for field in fields(Figures) if field.name != "positions"]
    return Figures(int(measured["positions"]), **{name: measured[name] for name in names})


def result(figures: Figures, gate: Gate) -> GateResult:
    """What the manifest says of the gate."""
    return GateResult(
        passed=decide(figures, gate).passed,
        figures=asdict(figures),
        limits=gate.model_dump(
            include={"max_mean_kl", "max_p99_kl", "min_top1_agreement", "max_perplexity_ratio"}
        ),
        details={"samples": gate.samples, "tokens": gate.tokens, "dataset": gate.dataset},
    )
