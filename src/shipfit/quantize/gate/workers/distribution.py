"""Measures how far an artifact's next-token distributions are from its source's, on held-out text.

Runs in the environment that reads the artifact. Request: ``source``, ``revision``, ``artifact``, ``documents``,
``documents_sha256``, ``samples``, ``tokens``, ``seed``, ``baselines``; see ``shipfit.quantize.gate.measurements``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from shipfit_baseline import POSITIONS, Baseline, baseline, run
from shipfit_bootstrap import Scored, figures, intervals
from shipfit_models import load_model

Report = Callable[[str, float | None], None]


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Compare the artifact with what the source made of the same text; one of the two is in memory at a time."""
    with baseline(request, report) as source:
        begun = 0.0 if source.reused else 0.5
        report("loading the artifact", begun)
        windows = _scored(source, load_model(Path(request["artifact"])), begun, report)
    report("computing confidence intervals", None)
    bounds, unit = intervals(windows, request["seed"])
    return {
        "figures": {**figures(windows), "positions": sum(len(window.divergences) for window in windows)},
        "intervals": bounds,
        "details": {
            "text": {key: request[key] for key in ("documents_sha256", "samples", "tokens", "seed")},
            "resampled": unit,
            "windows": [told(window) for window in windows],
            "versions": {name: version(name) for name in ("torch", "transformers")},
        },
    }


def _scored(source: Baseline, model: torch.nn.Module, begun: float, report: Report) -> list[Scored]:
    scored = []
    for number, window in enumerate(source.windows):
        report(
            f"window {number + 1} of {len(source.windows)}",
            begun + (1 - begun) * number / len(source.windows),
        )
        following = torch.tensor(window.ids[1:], device=model.device)
        parts = run(model, window.ids).split(POSITIONS)
        compared = [
            compare(expected.to(model.device), actual, token)
            for expected, actual, token in zip(
                source.logits(number), parts, following.split(POSITIONS), strict=True
            )
        ]
        divergences, agreed, source_losses, artifact_losses = zip(*compared, strict=True)
        scored.append(
            Scored(
                window.document,
                torch.cat(divergences).tolist(),
                sum(agreed),
                sum(source_losses),
                sum(artifact_losses),
            )
        )
    return scored


def compare(
    source: torch.Tensor, artifact: torch.Tensor, following: torch.Tensor
) -> tuple[torch.Tensor, int, float, float]:
    """Compare both models at some positions.

    Args:
        source, artifact: logits, [positions, vocabulary].
        following: the token that really follows, [positions].

    Returns:
        KL(source || artifact) of each position in nats; at how many positions the most likely token is the same;
        negative log-likelihood of the real text under the source and under the artifact.
    """
    expected, actual = source.float().log_softmax(-1), artifact.float().log_softmax(-1)
    token = following[:, None]
    terms = expected.exp() * (expected - actual)
    # A token that the source rules out (a logit of minus infinity) takes no part: 0 times infinity is no number.
    divergence = terms.masked_fill(expected == -torch.inf, 0).sum(-1).double()
    return (
        divergence.clamp_min(0).cpu(),  # rounding makes some a hair negative
        int((expected.argmax(-1) == actual.argmax(-1)).sum()),
        -expected.gather(1, token).double().sum().item(),
        -actual.gather(1, token).double().sum().item(),
    )


def told(window: Scored) -> dict[str, Any]:
    """A window's own figures, for a page to plot."""
    known = figures([window])
    names = ("mean_kl", "top1_agreement", "source_perplexity", "artifact_perplexity")
    return {"document": window.document, **{name: float(f"{known[name]:.4g}") for name in names}}
