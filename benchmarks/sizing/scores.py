"""How far predictions are from measurements. Pure functions; every share and error is a fraction of 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median


@dataclass(frozen=True)
class Label:
    """What a row is about, in words; breakdowns go by its fields.

    Attributes:
        table: the file, ``memory`` or ``throughput``.
        number: the row's number there.
        model: as the row names it.
        family: the architecture.
        gpu: the catalogue's name.
        split: between GPUs, such as ``TP 4 EP``.
        precision: how the weights are stored.
        release: of the engine, or ``?``.
        engine: ``vllm`` or ``trtllm``.
    """

    table: str
    number: str
    model: str
    family: str
    gpu: str
    split: str
    precision: str
    release: str
    engine: str = "vllm"

    @property
    def configuration(self) -> str:
        """What a planner chooses, in words."""
        return f"{self.precision} on {self.gpu}, {self.split}"


@dataclass(frozen=True)
class Figure:
    """One quantity of one row, predicted and measured, in the same unit.

    Attributes:
        label: the row.
        quantity: such as ``weights``.
        predicted: by the model.
        measured: above 0.
        assumed: what the row leaves open and the prediction depends on; such figures are shown, not counted.
    """

    label: Label
    quantity: str
    predicted: float
    measured: float
    assumed: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted / self.measured - 1

    @property
    def size(self) -> float:
        """The error without its sign."""
        return abs(self.error)


@dataclass(frozen=True)
class Verdict:
    """Whether a configuration was said to fit, and whether it was served.

    Attributes:
        label: the row.
        fits: as predicted.
        served: as measured.
        outcome: in the file's word.
        reason: the prediction's first.
    """

    label: Label
    fits: bool
    served: bool
    outcome: str
    reason: str


@dataclass(frozen=True)
class Timed:
    """A configuration under a workload: how long a request takes, predicted and measured.

    Attributes:
        label: the row.
        workload: what two configurations must share to be compared: model, engine, lengths, concurrency.
        predicted_s: seconds of a request, from its start to its last token.
        measured_s: the same.
    """

    label: Label
    workload: tuple[object, ...]
    predicted_s: float
    measured_s: float


def counted(figures: Iterable[Figure], quantity: str) -> list[Figure]:
    """The figures of a quantity that depend on nothing that the row leaves open."""
    return [each for each in figures if each.quantity == quantity and not each.assumed]


def mean_error(figures: Sequence[Figure]) -> float | None:
    """The mean of the errors' sizes; None without figures."""
    return fmean(each.size for each in figures) if figures else None


def median_error(figures: Sequence[Figure]) -> float | None:
    """The median of the errors' sizes; None without figures."""
    return median(each.size for each in figures) if figures else None


def bias(figures: Sequence[Figure]) -> float | None:
    """The median of the signed errors: above 0 where predictions are too large."""
    return median(each.error for each in figures) if figures else None


def share_within(figures: Sequence[Figure], limit: float) -> float | None:
    """The share of figures whose error is at most ``limit``."""
    return sum(each.size <= limit for each in figures) / len(figures) if figures else None


def wrong_fits(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """What was said to fit and failed."""
    return [each for each in verdicts if each.fits and not each.served]


def wrong_refusals(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """What was said not to fit and was served."""
    return [each for each in verdicts if each.served and not each.fits]


def pairs(timed: Iterable[Timed], least: float = 0.1) -> list[tuple[Timed, Timed]]:
    """Two configurations under the same workload whose measured times differ by ``least`` of the shorter or more.

    Repeated measurements of one configuration, and its measurements under other releases, are no pairs: no planner
    chooses between them. The first of a pair is the one that was measured to be faster.
    """
    groups: dict[tuple[object, ...], list[Timed]] = {}
    for each in timed:
        groups.setdefault(each.workload, []).append(each)
    found = []
    for group in groups.values():
        for one, other in combinations(group, 2):
            fast, slow = sorted((one, other), key=lambda each: each.measured_s)
            apart = slow.measured_s / fast.measured_s - 1
            if fast.label.configuration != slow.label.configuration and apart >= least:
                found.append((fast, slow))
    return found


def rightly_ordered(found: Sequence[tuple[Timed, Timed]]) -> float | None:
    """The share of pairs whose faster one is predicted to be faster; a tie is wrong."""
    return sum(fast.predicted_s < slow.predicted_s for fast, slow in found) / len(found) if found else None


def grouped(figures: Iterable[Figure], key: Callable[[Label], str]) -> dict[str, list[Figure]]:
    """Figures by a property of their rows, the largest group first."""
    groups: dict[str, list[Figure]] = {}
    for each in figures:
        groups.setdefault(key(each.label), []).append(each)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))
