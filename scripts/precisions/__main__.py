"""Makes every pipeline of the bundled model, asks what came of it, and writes docs/precisions.md.

    python -m scripts.precisions [FILE...]   the pipelines named, by default pipelines/gemma-3-270m-*.yaml
    python -m scripts.precisions --check     write nothing; fail where the page is not of the pipelines at hand

What is published and measured already is not made again, so that a run that was cut off goes on where it stopped. How
long each took is told on the page; before that, the engines' environments are built once (llama.cpp alone takes nine
minutes on 2 cores). What the gate refuses is a row too, with its reasons, and no failure of this program.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.precisions.page import page
from scripts.precisions.plot import loss_against_size
from scripts.precisions.rows import ROOT, Refusal, Row, Rows, pipeline_files, read_rows, stale, write_rows
from shipfit.core.errors import ShipfitError
from shipfit.core.progress import make_progress

PAGE = ROOT / "docs" / "precisions.md"
PLOT = ROOT / "docs" / "precisions" / "loss.svg"


def main() -> int:
    """Run the pipelines; the exit code of the last that could not be measured, or 1 where the page is stale."""
    parser = argparse.ArgumentParser(prog="python -m scripts.precisions", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="pipelines of the bundled model; by default all")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is stale")
    options = parser.parse_args()
    for file in options.files:
        if file.resolve() not in pipeline_files():
            parser.error(f"{file} is none of pipelines/gemma-3-270m-*.yaml")
    if options.check:
        return _check()
    try:
        return _make(options.files or pipeline_files())
    except ShipfitError as error:  # neither Ray nor the store, and so nothing at all
        print(f"scripts.precisions: {error}", file=sys.stderr)
        return error.exit_code


def _make(files: list[Path]) -> int:
    from scripts.precisions.measure import measure
    from shipfit.artifacts import open_store
    from shipfit.quantize.cluster.local import embedded_ray

    progress, code = make_progress(), 0
    with open_store(None, progress) as store, embedded_ray(progress):  # one of each for all pipelines
        from ray import get_runtime_context  # once it is set up

        os.environ["RAY_ADDRESS"] = get_runtime_context().gcs_address
        for number, file in enumerate(files, 1):
            rows = read_rows()
            try:
                with progress.step(f"{file.name} ({number} of {len(files)})"):
                    before = rows.get(file.stem)
                    before = before if isinstance(before, Row) else None
                    rows[file.stem] = measure(file, before, store, progress)
            except ShipfitError as error:
                print(f"{file.name}: {error}", file=sys.stderr)
                code = error.exit_code
            else:
                write_rows(rows)
    for path, text in _documents(read_rows()).items():
        path.write_text(text)
    return code


def _documents(rows: Rows) -> dict[Path, str]:
    made = {name: row for name, row in rows.items() if isinstance(row, Row)}
    refusals = {name: row for name, row in rows.items() if isinstance(row, Refusal)}
    return {PAGE: page(made, refusals), PLOT: loss_against_size(made)}


def _check() -> int:
    reasons = list(_reasons())
    for reason in reasons:
        print(f"docs/precisions.md is stale: {reason}; run make precisions", file=sys.stderr)
    return int(bool(reasons))


def _reasons() -> Iterator[str]:
    rows = read_rows()
    yield from stale(pipeline_files(), rows)
    for path, text in _documents(rows).items():
        if not path.exists() or path.read_text() != text:
            yield f"{path.relative_to(ROOT)} is not what its rows make of it"


if __name__ == "__main__":
    sys.exit(main())
