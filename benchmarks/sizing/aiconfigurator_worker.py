"""Asks aiconfigurator for its predictions. Runs in an environment of its own, which has that package and not shipfit.

Reads a JSON list of keyword arguments of its ``cli_estimate`` from standard input, each with a ``row`` beside them, and
writes ``{"version": ..., "predictions": {row: {"ttft_ms": ..., "tpot_ms": ...}}, "refused": {row: reason}}``.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings


def main() -> None:
    """Answer every question, or say why there is no answer."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from aiconfigurator.cli.api import cli_estimate

    predictions, refused = {}, {}
    for question in json.load(sys.stdin):
        row = question.pop("row")
        try:
            answer = cli_estimate(**question)
        except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
            refused[row] = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
        else:
            predictions[row] = {"ttft_ms": round(answer.ttft, 3), "tpot_ms": round(answer.tpot, 4)}
    json.dump({"predictions": predictions, "refused": refused}, sys.stdout)


if __name__ == "__main__":
    main()
