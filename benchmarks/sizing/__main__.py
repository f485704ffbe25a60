"""Scores the sizing model on measured figures, prints the goals and writes docs/accuracy.md with its plots.

python -m benchmarks.sizing                       score, print, write the page
python -m benchmarks.sizing --check               fail where the page is not what it would be
python -m benchmarks.sizing --data FOLDER         score other rows of the same form, and print only
python -m benchmarks.sizing --with-aiconfigurator first ask aiconfigurator about new rows (downloads its package)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.sizing.left_out import WITHOUT_GPU, WITHOUT_MODEL, read_left_out
from benchmarks.sizing.memory import score_memory
from benchmarks.sizing.others import aiconfigurator, ask_aiconfigurator
from benchmarks.sizing.page import goals, page, plots, stable
from benchmarks.sizing.plan_time import plan_seconds
from benchmarks.sizing.results import Results
from benchmarks.sizing.rows import read_rows
from benchmarks.sizing.scores import wrong_fits, wrong_refusals
from benchmarks.sizing.speed import read_runs, score_speed
from benchmarks.sizing.tables import by_configuration, goals_table, misses, off, unscored

_ROOT = Path(__file__).parents[2]
_ROWS = _ROOT / "benchmarks" / "ground_truth"
_PAGE = _ROOT / "docs" / "accuracy.md"
_PLOTS = _ROOT / "docs" / "accuracy"


def main() -> int:
    """Run the benchmark; 1 where the page is stale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=None, help="folder of vllm_memory.csv and throughput.csv"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is stale")
    parser.add_argument("--with-aiconfigurator", action="store_true", help="ask about new rows first")
    options = parser.parse_args()
    folder = options.data or _ROWS
    if options.with_aiconfigurator:
        runs, _unscored = read_runs(read_rows(folder / "throughput.csv"))
        ask_aiconfigurator(runs)
    results = _score(folder, timed=not options.check)
    if options.check:
        return _check(results)
    print(goals_table(goals(results)))
    if options.data:
        memory, speed = results.memory, results.speed
        print("\n" + misses(memory.figures, wrong_fits(memory.verdicts) + wrong_refusals(memory.verdicts)))
        print("\n" + by_configuration(off(speed.figures)))
        print("\n" + unscored(memory.unscored + speed.unscored))
    else:
        _write(results)
    return 0


def _score(folder: Path, *, timed: bool) -> Results:
    rows = read_rows(folder / "throughput.csv")
    left_out, kept = read_left_out(), aiconfigurator()
    return Results(
        memory=score_memory(read_rows(folder / "vllm_memory.csv")),
        speed=score_speed(rows, left_out[WITHOUT_MODEL], rest=True),
        unseen_gpu=score_speed(rows, left_out[WITHOUT_GPU], rest=True),
        shipped=score_speed(rows),
        kept=kept,
        others=score_speed(rows, kept.speeds),
        plan_s=plan_seconds() if timed else None,
    )


def _write(results: Results) -> None:
    _PAGE.write_text(page(results))
    _PLOTS.mkdir(exist_ok=True)
    for name, text in plots(results).items():
        (_PLOTS / name).write_text(text)


def _check(results: Results) -> int:
    wanted = {_PLOTS / name: text for name, text in plots(results).items()}
    stale = [path.name for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if not _PAGE.exists() or stable(_PAGE.read_text()) != stable(page(results)):
        stale.append(_PAGE.name)
    if stale:
        print(f"docs/accuracy is stale: {', '.join(sorted(stale))}; run make bench-sizing", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
