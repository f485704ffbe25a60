"""Measures a saved artifact against its source model on held-out text. Runs in the engine's environment.

Request: ``source`` and ``artifact`` (folders), ``texts``, ``samples``, ``tokens``, ``seed``. Result: the figures, see
``shipfit.quantize.gate.Figures``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from shipfit_samples import sample_windows
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, CompressedTensorsConfig

Report = Callable[[str, float | None], None]

POSITIONS = 64
"""Positions whose distributions are compared at once: 64 of a vocabulary of 262,144 are 67 MB in float32."""


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Compare the two models."""
    report("reading the held-out text", 0.0)
    tokenizer = AutoTokenizer.from_pretrained(request["artifact"])  # the artifact's own: it is what is served
    windows = sample_windows(
        tokenizer, request["texts"], request["samples"], request["tokens"], request["seed"]
    )
    report("loading both models", 0.05)
    source, artifact = load(Path(request["source"])), load(Path(request["artifact"]))
    totals = Totals()
    with torch.inference_mode():
        for number, window in enumerate(windows):
            report(f"window {number + 1} of {len(windows)}", 0.2 + 0.8 * number / len(windows))
            ids = torch.tensor([window], device=source.device)
            compare(source(ids).logits[0, :-1], artifact(ids).logits[0, :-1], ids[0, 1:], totals)
    return totals.figures()


def load(folder: Path) -> torch.nn.Module:
    """The model as saved; compressed weights become 16-bit ones, with the values that they stand for."""
    config = AutoConfig.from_pretrained(folder)
    compressed = getattr(config, "quantization_config", None)
    extra = {"quantization_config": CompressedTensorsConfig(run_compressed=False)} if compressed else {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto", **extra).to(device).eval()


@dataclass
class Totals:
    """Sums over all positions so far."""

    divergences: list[torch.Tensor] = field(default_factory=list)
    agreed: int = 0
    source_loss: float = 0.0
    artifact_loss: float = 0.0

    def figures(self) -> dict[str, Any]:
        """What the gate decides on."""
        divergence = torch.cat(self.divergences)
        positions = divergence.numel()
        source, artifact = math.exp(self.source_loss / positions), math.exp(self.artifact_loss / positions)
        return {
            "positions": positions,
            "mean_kl": divergence.mean().item(),
            # kthvalue, not quantile: that one refuses more than 16 million values
            "p99_kl": divergence.kthvalue(max(1, math.ceil(0.99 * positions))).values.item(),
            "top1_agreement": self.agreed / positions,
            "source_perplexity": source,
            "artifact_perplexity": artifact,
            "perplexity_ratio": artifact / source,
        }


def compare(source: torch.Tensor, artifact: torch.Tensor, following: torch.Tensor, totals: Totals) -> None:
    """Add one window's positions to the totals.

    Args:
        source, artifact: logits, [positions, vocabulary].
        following: the token that really follows, [positions].
    """
    for start in range(0, len(following), POSITIONS):
        part = slice(start, start + POSITIONS)
        expected = source[part].float().log_softmax(-1)
        actual = artifact[part].float().log_softmax(-1)
        token = following[part, None]
        totals.source_loss -= expected.gather(1, token).double().sum().item()
        totals.artifact_loss -= actual.gather(1, token).double().sum().item()
        totals.agreed += int((expected.argmax(-1) == actual.argmax(-1)).sum())
        divergence = (expected.exp() * (expected - actual)).sum(-1).double()
        totals.divergences.append(divergence.clamp_min(0).cpu())  # rounding makes some a hair negative
