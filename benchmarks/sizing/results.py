"""Everything that the page shows."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.sizing.memory import Scored
from benchmarks.sizing.others import Kept
from benchmarks.sizing.speed import ScoredSpeed


@dataclass(frozen=True)
class Results:
    """Everything that the page shows.

    Attributes:
        memory: of vllm_memory.csv.
        speed: of throughput.csv, each model predicted by a fit that has not seen it.
        unseen_gpu: the same, each kind of GPU predicted by a fit that has not seen it.
        shipped: the same with what shipfit ships, fitted on all rows.
        kept: aiconfigurator's answers.
        others: the same rows as aiconfigurator predicts them.
        plan_s: seconds that planning took; None where it was not measured.
    """

    memory: Scored
    speed: ScoredSpeed
    unseen_gpu: ScoredSpeed
    shipped: ScoredSpeed
    kept: Kept
    others: ScoredSpeed
    plan_s: float | None
