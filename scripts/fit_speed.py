"""Fit what real kernels reach to measured speed, and say how far off that is on rows that the fit has not seen.

    python -m scripts.fit_speed [FOLDER]           write efficiencies.yaml anew, and print the errors
    python -m scripts.fit_speed --check [FOLDER]   only compare

FOLDER holds throughput.csv, by default benchmarks/ground_truth. What is searched for, where the search starts and how
far a figure may well go stands in fit_speed.yaml; the residuals are logarithms of predicted over measured TPOT and
TTFT (output tokens a second where a row has no times). Rows of one configuration that repeat each other count once, and
those that miss for a known reason (benchmarks/sizing/explained.yaml) are scored and not fitted. The search is
deterministic.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sizing.explained import explanation
from benchmarks.sizing.goals import speed_goals
from benchmarks.sizing.left_out import WITHOUT_GPU, WITHOUT_MODEL, write_left_out
from benchmarks.sizing.rows import Row, read_rows
from benchmarks.sizing.scores import counted, median_error
from benchmarks.sizing.speed import Run, read_runs, score_speed, set_up
from benchmarks.sizing.subjects import UnscorableError
from scripts.least_squares import minimize
from scripts.parameters import Tree
from shipfit.core.data import read_yaml
from shipfit.sizing import Replica, Speed
from shipfit.sizing.speed.efficiencies import Efficiencies
from shipfit.sizing.speed.serving import steady_with

ROOT = Path(__file__).resolve().parents[1]
STARTS = Path(__file__).with_suffix(".yaml")
RESULT = ROOT / "src/shipfit/sizing/speed/efficiencies.yaml"
ENGINE = "vllm"
OTHER_ENGINE = "trtllm"
TPOT_ERROR, TTFT_ERROR = 0.1, 0.25
"""What a good prediction is off by; a TTFT depends on the client too."""
ROUNDS = 12


@dataclass(frozen=True)
class Case:
    """A row to fit to.

    Attributes:
        run: what was run.
        replica: where.
        seats: requests that it takes in at once.
        counted: whether the fit looks at it; what repeats another row, or misses for a known reason, is only scored.
    """

    run: Run
    replica: Replica
    seats: float
    counted: bool

    def predict(self, known: Efficiencies) -> Speed:
        """Its speed, if kernels reached that."""
        run, times = self.run, self.replica.times_with(known)
        return steady_with(times, run.concurrency, run.tokens_in, run.tokens_out, self.seats)

    def residuals(self, known: Efficiencies) -> Iterator[float]:
        """How far its predictions are off, over what they may be."""
        row, speed = self.run.row, self.predict(known)
        ttft, tpot, rate = (row.figure(name) for name in ("ttft_ms", "tpot_ms", "output_tok_s"))
        if tpot:
            yield math.log(speed.tpot_s * 1e3 / tpot) / TPOT_ERROR
        if ttft and not speed.overloaded:
            yield math.log(speed.ttft_s * 1e3 / ttft) / TTFT_ERROR
        if rate and not (ttft or tpot):
            yield math.log(rate / speed.tokens_per_s) / TPOT_ERROR


def main() -> int:
    """Fit, cross-validate, print the errors, and write or compare."""
    parser = argparse.ArgumentParser(description="fit the speed model to measured rows")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "benchmarks/ground_truth")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    rows = read_rows(arguments.folder / "throughput.csv")
    tree = Tree(read_yaml(STARTS))
    cases = list(_cases(rows))
    found = _fit(cases, tree)
    text = _header() + tree.text(found)
    if arguments.check:
        same = text == RESULT.read_text(encoding="utf-8")
        print(f"{RESULT.relative_to(ROOT)} {'is up to date' if same else 'differs: run make fit-speed'}")
        return 0 if same else 1
    RESULT.write_text(text, encoding="utf-8")
    _print("all rows fitted", rows, _predictions(cases, _known(tree, found)), ENGINE)
    left_out = {
        WITHOUT_MODEL: _validate(cases, tree, lambda case: _family(case.run.label.model)),
        WITHOUT_GPU: _validate(cases, tree, lambda case: case.run.subject.gpu.name),
    }
    write_left_out(left_out)
    for title, predictions in left_out.items():
        _print(title, rows, predictions, ENGINE)
    _print(f"{OTHER_ENGINE}, by what was fitted to {ENGINE}", rows, None, OTHER_ENGINE)
    return 0


def _cases(rows: Sequence[Row]) -> Iterator[Case]:
    """The engine's rows in a steady state; of those that repeat each other, the first is counted."""
    seen = set()
    for run in read_runs(rows)[0]:
        if run.label.engine != ENGINE or run.burst:
            continue
        try:
            replica, seats = set_up(run)
        except UnscorableError:
            continue
        names = ("ttft_ms", "tpot_ms", "output_tok_s")
        measured = tuple(f"{run.row.figure(name) or 0:.2g}" for name in names)
        key = (run.label.model, run.label.gpu, run.label.precision, run.tokens_in, run.tokens_out, measured)
        yield Case(run, replica, seats, counted=key not in seen and not explanation(run.label, "TPOT"))
        seen.add(key)


def _fit(cases: Sequence[Case], tree: Tree) -> list[float]:
    fitted = [case for case in cases if case.counted]

    def residuals(at: Sequence[float]) -> list[float]:
        known = _known(tree, at)
        return [each for case in fitted for each in case.residuals(known)]

    return minimize(residuals, [0.0] * len(tree.parameters), ROUNDS)


def _known(tree: Tree, at: Sequence[float]) -> Efficiencies:
    return Efficiencies.model_validate(tree.filled(at))


def _predictions(cases: Sequence[Case], known: Efficiencies) -> dict[str, Speed]:
    return {case.run.row.number: case.predict(known) for case in cases}


def _validate(cases: Sequence[Case], tree: Tree, key: Callable[[Case], str]) -> dict[str, Speed]:
    """Predictions by row number, each by a fit to the rows whose key is another."""
    predictions: dict[str, Speed] = {}
    for left_out in sorted({key(case) for case in cases}):
        known = _known(tree, _fit([case for case in cases if key(case) != left_out], tree))
        predictions |= _predictions([case for case in cases if key(case) == left_out], known)
    return predictions


def _family(model: str) -> str:
    """A model with its precisions and fine-tunes, which must not vouch for each other."""
    return model.rpartition("/")[2].replace("-Instruct", "").replace("-FP8", "").replace("-2507", "").lower()


def _header() -> str:
    """The explanations at the top of the file, which people write."""
    lines = RESULT.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))])


def _print(title: str, rows: Sequence[Row], predictions: Mapping[str, Speed] | None, engine: str) -> None:
    scored = score_speed(rows, predictions)
    print(f"\n{title}")
    for goal in speed_goals(scored, engine):
        print(f"  {goal.quantity:<58} {goal.reached:>7} of {goal.rows:>4}   goal: {goal.wanted}")
    rates = [each for each in counted(scored.figures, "output tokens/s") if each.label.engine == engine]
    if rates:
        print(f"  {'output tokens/s, median error':<58} {median_error(rates):>7.2%} of {len(rates):>4}")


if __name__ == "__main__":
    sys.exit(main())
