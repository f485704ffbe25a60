"""Choosing one of several recipes: of those that pass the gate and fit the hardware, the one that loses least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from shipfit.quantize.gate import Evidence, Verdict

Choice = list[dict[str, JsonValue]]
"""What a manifest says of all recipes; empty where there was one alone."""


@dataclass(frozen=True)
class Contender:
    """A recipe with all that is known of its artifact.

    Attributes:
        label: what people call it.
        fingerprint: of its artifact.
        weight_bytes: of its artifact.
        evidence: what the gate measured; None where it was not made.
        verdict: of the gate; None likewise.
        objection: why it was not made: it cannot be served as the pipeline asks, or a stage failed. None if it was.
    """

    label: str
    fingerprint: str
    weight_bytes: int
    evidence: Evidence | None
    verdict: Verdict | None
    objection: str | None

    @property
    def eligible(self) -> bool:
        """Whether it may be published."""
        return self.objection is None and self.verdict is not None and self.verdict.passed

    @property
    def loss(self) -> float:
        """Mean divergence from the source, in nats a token."""
        return self.evidence.figures.get("mean_kl", float("inf")) if self.evidence else float("inf")

    @property
    def reason(self) -> str:
        """Why it may not be published; empty if it may."""
        if self.objection:
            return self.objection
        if self.verdict is None:
            return "was not measured"
        return "; ".join(self.verdict.failures)


def choose(contenders: Sequence[Contender]) -> Contender | None:
    """The eligible one with the least mean divergence, of equal ones the smallest; None where none is eligible."""
    eligible = [each for each in contenders if each.eligible]
    return min(eligible, key=lambda each: (each.loss, each.weight_bytes)) if eligible else None


def table(contenders: Sequence[Contender], chosen: Contender | None) -> Choice:
    """What a manifest says of the choice: a row for each, those that lose least first."""
    return [
        {
            "recipe": each.label,
            "fingerprint": each.fingerprint,
            "chosen": each is chosen,
            "weight_bytes": each.weight_bytes,
            "figures": dict(each.evidence.figures) if each.evidence else {},
            "reason": each.reason or ("chosen" if each is chosen else "loses more"),
        }
        for each in sorted(contenders, key=lambda each: (not each.eligible, each.loss))
    ]
