"""The limits of a pipeline's gate: its own, and for those left out the usual ones of the precision."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from shipfit.core.data import read_yaml
from shipfit.spec import Gate
from shipfit.spec.base import Section
from shipfit.spec.precision import Precision

_FILE = Path(__file__).with_name("limits.yaml")
_OWN = ("max_mean_kl", "max_p99_kl", "min_top1_agreement", "max_perplexity_ratio")


class UsualLimits(Section):
    """What an artifact of one precision is held to where its pipeline says nothing; units as in the spec's gate."""

    max_mean_kl: float
    max_p99_kl: float
    min_top1_agreement: float
    max_perplexity_ratio: float
    published: str
    """What was measured of sound artifacts."""
    source: str
    """Where that was published."""
    derived: str | None = None
    """What the limits follow from, where it says too little."""


@cache
def usual_limits() -> dict[Precision, UsualLimits]:
    """By precision."""
    return {
        Precision(name): UsualLimits.model_validate(entry)
        for name, entry in read_yaml(_FILE)["limits"].items()
    }


def limits_of(gate: Gate, precision: Precision) -> dict[str, float]:
    """Every limit that an artifact of this precision is held to, by name."""
    usual = usual_limits()[precision]
    limits: dict[str, float] = {"max_faults": float(gate.max_faults), "max_structure_faults": 0.0}
    for name in _OWN:
        own = getattr(gate, name)
        limits[name] = getattr(usual, name) if own is None else own
    if gate.tasks:
        limits["min_recovery"] = gate.tasks.min_recovery
    if gate.generation:
        limits["max_faulty"] = float(gate.generation.max_faulty)
        if gate.generation.min_greedy_agreement is not None:
            limits["min_greedy_agreement"] = gate.generation.min_greedy_agreement
    if gate.max_regression is not None:
        limits["max_regression"] = gate.max_regression
    return limits
