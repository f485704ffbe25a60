"""Predictions beside the rows of vllm_memory.csv."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from benchmarks.sizing.rows import Row
from benchmarks.sizing.scores import Figure, Label, Verdict
from benchmarks.sizing.subjects import Subject, UnscorableError, memory_subject
from shipfit.core.errors import ShipfitError
from shipfit.sizing import Sizing, size

_FAILED = (
    "kv_too_small_for_max_model_len",
    "no_kv_room",
    "oom",
    "oom_on_load",
    "oom_after_kv_alloc",
    "oom_cuda_graph_capture",
    "config_rejected",
)
_UNPREDICTABLE = {
    "startup_refused": "other tenants held the GPU's memory",
    "failed_other": "it failed for another reason than memory",
}
_COLUMNS = {
    # quantity: column of the file, attribute of Sizing, whether settings matter that the row leaves open
    "weights": ("weights_gib_per_gpu", "weights_gib", False),
    "activation": ("activation_peak_gib", "activation_gib", True),
    "CUDA graphs": ("cuda_graph_gib", "cuda_graph_gib", True),
    "KV cache": ("kv_cache_gib_per_gpu", "kv_cache_gib", True),
    "KV tokens": ("kv_cache_tokens", "kv_cache_tokens", True),
}


@dataclass
class Scored:
    """What came of a file of rows.

    Attributes:
        figures: every quantity that was measured and predicted.
        verdicts: whether it was said to fit, for what was served or failed for memory.
        unscored: rows that nothing is predicted for, and why.
        estimates: CUDA graphs as vLLM estimated them, in GiB, by the row's number.
    """

    figures: list[Figure] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    unscored: list[tuple[Row, str]] = field(default_factory=list)
    estimates: dict[str, float] = field(default_factory=dict)


def score_memory(rows: Iterable[Row]) -> Scored:
    """Predict every row that says enough, and say why the others do not."""
    scored = Scored()
    for row in rows:
        try:
            _score(row, scored)
        except UnscorableError as error:
            scored.unscored.append((row, str(error)))
    return scored


def _score(row: Row, scored: Scored) -> None:
    outcome = row.text("outcome") or ""
    if reason := _UNPREDICTABLE.get(outcome):
        raise UnscorableError(reason)
    subject = memory_subject(row)
    predicted = _size(subject, subject.settings.context)
    label = subject.label("memory", row, row.text("vllm_version"))
    for quantity, (column, attribute, depends) in _COLUMNS.items():
        measured = row.figure(column)
        if measured is not None and measured > 0:
            assumed = subject.beside + (subject.assumed if depends else ())
            figure = Figure(label, quantity, getattr(predicted, attribute), measured, assumed)
            scored.figures.append(figure)
    scored.figures += _concurrency(row, subject, label)
    if outcome == "served" or outcome in _FAILED:
        served = outcome == "served"
        scored.verdicts.append(Verdict(label, predicted.fits, served, outcome, predicted.reasons[0]))
    estimate = row.figure("cuda_graph_estimate_gib")
    if estimate is not None:
        scored.estimates[row.number] = estimate


def _concurrency(row: Row, subject: Subject, label: Label) -> list[Figure]:
    measured, context = row.figure("max_concurrency"), row.whole("max_concurrency_ctx")
    if not measured or context is None:
        return []
    predicted = _size(subject, context).max_concurrency
    return [Figure(label, "concurrency", predicted, measured, subject.beside + subject.assumed)]


def _size(subject: Subject, context: int | None) -> Sizing:
    settings = replace(subject.settings, context=context)
    try:
        return size(subject.facts, subject.gpu, subject.scheme, settings)
    except ShipfitError as error:
        raise UnscorableError(str(error)) from None
