"""Predictions beside the rows of throughput.csv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.sizing.rows import Row
from benchmarks.sizing.scores import Figure, Label, Timed
from benchmarks.sizing.subjects import Subject, UnscorableError, speed_subject
from shipfit.core.errors import ShipfitError
from shipfit.sizing import Replica, Speed, seats, steady

_TOTALS = re.compile(r"requests (\d+), input tokens (\d+), generated (\d+)")
BURST = "all requests at once"
"""Marks figures of a benchmark that sends everything at once: no steady state, which is what is predicted."""


@dataclass(frozen=True)
class Run:
    """A row that can be predicted.

    Attributes:
        row: as it stands in the file.
        label: what it is about, in words.
        subject: the same, as sizing takes it.
        concurrency: requests in flight.
        tokens_in: of a prompt.
        tokens_out: of an answer.
        burst: whether all requests were sent at once, so that there is no steady state.
    """

    row: Row
    label: Label
    subject: Subject
    concurrency: int
    tokens_in: int
    tokens_out: int
    burst: bool


@dataclass
class ScoredSpeed:
    """What came of a file of rows.

    Attributes:
        figures: TTFT and TPOT in ms, output tokens/s.
        timed: every configuration under its workload.
        unscored: rows that nothing is predicted for, and why.
    """

    figures: list[Figure] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    unscored: list[tuple[Row, str]] = field(default_factory=list)


def read_runs(rows: Iterable[Row]) -> tuple[list[Run], list[tuple[Row, str]]]:
    """The rows that say enough to be predicted, and the others with the reason."""
    runs, unscored = [], []
    for row in rows:
        try:
            runs.append(_run(row))
        except UnscorableError as error:
            unscored.append((row, str(error)))
    return runs, unscored


def set_up(run: Run) -> tuple[Replica, float]:
    """The replica of a run, and how many requests it takes in at once.

    Raises:
        UnscorableError: what is run cannot be sized.
    """
    subject = run.subject
    replica = Replica(subject.facts, subject.scheme, subject.gpu, subject.settings)
    try:
        return replica, max(1.0, seats(replica, run.tokens_in, run.tokens_out))
    except ShipfitError as error:
        raise UnscorableError(str(error)) from None


def predict(run: Run) -> Speed:
    """The speed of a run as shipfit says it: what its KV cache does not hold waits.

    Raises:
        UnscorableError: what is run cannot be sized.
    """
    replica, held = set_up(run)
    return steady(replica, run.concurrency, run.tokens_in, run.tokens_out, seats=held)


def score_speed(
    rows: Iterable[Row], instead: Mapping[str, Speed] | None = None, *, rest: bool = False
) -> ScoredSpeed:
    """Predict every row that says enough, and say why the others do not.

    Args:
        rows: of throughput.csv.
        instead: predictions by row number that replace shipfit's own, such as those of a cross-validation.
        rest: whether shipfit predicts the rows that they do not cover; else those are left out without a word.
    """
    runs, unscored = read_runs(rows)
    scored = ScoredSpeed(unscored=unscored)
    for run in runs:
        try:
            speed = (instead or {}).get(run.row.number)
            if speed is None and (rest or instead is None):
                speed = predict(run)
        except UnscorableError as error:
            unscored.append((run.row, str(error)))
            continue
        if speed is not None:
            scored.figures += _figures(run, speed)
            scored.timed += _timed(run, speed)
    return scored


def _run(row: Row) -> Run:
    burst = False
    tokens_in, tokens_out = row.whole("input_len"), row.whole("output_len")
    concurrency = row.whole("concurrency_or_batch")
    totals = _TOTALS.search(row.text("metric_note") or "")
    if totals and (tokens_in is None or tokens_out is None):
        requests, all_in, all_out = (int(each) for each in totals.groups())
        tokens_in, tokens_out = round(all_in / requests), round(all_out / requests)
        burst = concurrency is None
        concurrency = concurrency or requests
    if tokens_in is None or tokens_out is None:
        raise UnscorableError("the lengths of prompts and answers are not said")
    if concurrency is None:
        raise UnscorableError("how many requests were in flight is not said")
    subject = speed_subject(row)
    label = subject.label("throughput", row, row.text("engine_version"), row.text("engine") or "?")
    return Run(row, label, subject, concurrency, tokens_in, tokens_out, burst)


def _figures(run: Run, speed: Speed) -> Iterator[Figure]:
    assumed = (BURST,) if run.burst else ()
    for quantity, column, predicted in (
        ("TTFT", "ttft_ms", speed.ttft_s * 1000),
        ("TPOT", "tpot_ms", speed.tpot_s * 1000),
        ("output tokens/s", "output_tok_s", speed.tokens_per_s),
    ):
        measured = run.row.figure(column)
        if measured:
            yield Figure(run.label, quantity, predicted, measured, assumed)


def _timed(run: Run, speed: Speed) -> Iterator[Timed]:
    """How long a request takes, from the measured times, or with one request in flight from the tokens a second."""
    ttft, tpot = run.row.figure("ttft_ms"), run.row.figure("tpot_ms")
    rate = run.row.figure("output_tok_s")
    if run.burst or not ((ttft and tpot) or rate):
        return
    if ttft and tpot:
        measured = (ttft + tpot * (run.tokens_out - 1)) / 1000
    else:
        measured = run.concurrency * run.tokens_out / (rate or 1)
    label = run.label
    yield Timed(
        label=label,
        workload=(label.model, label.engine, run.tokens_in, run.tokens_out, run.concurrency),
        predicted_s=speed.ttft_s + speed.tpot_s * (run.tokens_out - 1),
        measured_s=measured,
    )
