"""What is known of an artifact's quality: every measurement's answer, merged, and as the manifest keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from shipfit.artifacts.manifest import GateResult


@dataclass(frozen=True)
class Evidence:
    """Figures of an artifact against its source.

    Attributes:
        figures: by name: ``mean_kl`` and ``p99_kl`` (nats a token), ``top1_agreement`` (share of positions),
            ``perplexity_ratio``, ``faults`` (layers), ``structure_faults``, ``recovery`` (share), ``faulty`` (answers).
        intervals: 95% confidence intervals of those that have one, low and high.
        details: what else a measurement recorded, by the measurement's name; ``quantize`` is the engine's own.
    """

    figures: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    details: dict[str, dict[str, JsonValue]] = field(default_factory=dict)

    @property
    def text(self) -> JsonValue:
        """What the distribution was measured on: digest of the text and how it was sampled. None if it was not."""
        return self.details.get("distribution", {}).get("text")

    @property
    def skipped(self) -> dict[str, str]:
        """Measurements that were not taken, and why."""
        return {name: str(kept["skipped"]) for name, kept in self.details.items() if "skipped" in kept}

    @property
    def faults(self) -> list[dict[str, JsonValue]]:
        """Layers in which the engine failed without saying so: ``kind``, ``layer`` and ``detail`` of each."""
        return self._told("quantize", "faults")

    @property
    def structure_faults(self) -> list[dict[str, JsonValue]]:
        """What is wrong with the files: ``kind``, ``tensor`` and ``detail`` of each; the first hundred."""
        return self._told("structure", "faults") or self._told("distribution", "faults")  # GGUF: both in one

    def _told(self, measurement: str, name: str) -> list[dict[str, JsonValue]]:
        told = self.details.get(measurement, {}).get(name)
        return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


def merge(answers: Mapping[str, Mapping[str, Any]]) -> Evidence:
    """One evidence of the workers' answers.

    Args:
        answers: by measurement; ``quantize`` is the engine worker's result, whose faults become a figure. A
            measurement that could not be taken here is ``{"details": {"skipped": why}}``.
    """
    evidence = Evidence()
    for name, answer in answers.items():
        if name == "quantize":
            evidence.figures["faults"] = float(len(answer.get("faults", ())))
            evidence.details[name] = dict(answer)
            continue
        evidence.figures.update({key: float(value) for key, value in answer.get("figures", {}).items()})
        evidence.intervals.update(
            {key: (float(low), float(high)) for key, (low, high) in answer.get("intervals", {}).items()}
        )
        evidence.details[name] = dict(answer.get("details", {}))
    return evidence


def to_result(
    evidence: Evidence, limits: Mapping[str, float], *, passed: bool, digest: str | None = None
) -> GateResult:
    """What the manifest says of the gate; ``digest`` is that of what was measured and with what."""
    return GateResult(
        digest=digest,
        passed=passed,
        figures=evidence.figures,
        intervals=evidence.intervals,
        limits=dict(limits),
        details=dict(evidence.details),
    )


def from_result(result: GateResult) -> Evidence:
    """The evidence that a manifest holds."""
    details = {name: kept for name, kept in result.details.items() if isinstance(kept, dict)}
    return Evidence(dict(result.figures), dict(result.intervals), details)
