"""shipfit beside other predictors, on the same rows where there are such."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from statistics import fmean

from benchmarks.sizing.goals import PAIRS_APART, TPOT_BAND
from benchmarks.sizing.memory import Scored
from benchmarks.sizing.others import published
from benchmarks.sizing.results import Results
from benchmarks.sizing.scores import (
    Figure,
    Label,
    counted,
    mean_error,
    median_error,
    pairs,
    rightly_ordered,
    share_within,
)
from benchmarks.sizing.speed import ScoredSpeed
from benchmarks.sizing.tables import percent, signed, table


def side_by_side(results: Results) -> Iterator[str]:
    """The section's paragraphs."""
    yield _graphs(results.memory)
    rows = {each.label.number for each in results.others.figures}
    yield f"Speed, on the rows that aiconfigurator {results.kept.version} predicts:"
    yield predictors_table({**fits(results), "aiconfigurator": results.others}, rows)
    yield (
        "aiconfigurator looks operators up in tables measured on these kinds of GPU; its answers are kept "
        "in benchmarks/sizing/aiconfigurator.json, and `python -m benchmarks.sizing --with-aiconfigurator` asks about "
        "rows that are new."
    )
    yield "What the authors of others publish, on rows of their own:"
    yield table(
        ("predictor", "quantity", "error", "rows", "source"),
        ((each.predictor, each.quantity, each.error, each.rows, each.source) for each in published()),
    )
    activation = counted(results.memory.figures, "activation")
    if activation:
        mean = fmean(each.error for each in activation)
        yield f"shipfit's activations on the rows here: {signed(mean)} on average ({len(activation)} rows)."


def fits(results: Results) -> dict[str, ScoredSpeed]:
    """The same rows, by what the fit has seen."""
    return {
        "shipfit, by a fit that has not seen the model": results.speed,
        "shipfit, by a fit that has not seen the GPU": results.unseen_gpu,
        "shipfit, as it is shipped": results.shipped,
    }


def predictors_table(predictors: Mapping[str, ScoredSpeed], rows: Container[str] | None = None) -> str:
    """Predictors' speed on rows of vLLM.

    Args:
        predictors: by name.
        rows: the rows to compare on; all by default.
    """
    lines = []
    for name, scored in predictors.items():
        figures = [each for each in scored.figures if _is_in(each.label, rows)]
        timed = [each for each in scored.timed if _is_in(each.label, rows)]
        tpot, ttft = counted(figures, "TPOT"), counted(figures, "TTFT")
        right = rightly_ordered(pairs(timed, PAIRS_APART))
        shares = (median_error(tpot), share_within(tpot, TPOT_BAND), median_error(ttft), right)
        lines.append((name, str(len(tpot)), *(percent(share) for share in shares)))
    head = (
        "predictor",
        "rows",
        "TPOT, median error",
        f"within {TPOT_BAND:.0%}",
        "TTFT, median error",
        "pairs right",
    )
    return table(head, lines)


def _is_in(label: Label, rows: Container[str] | None) -> bool:
    return label.engine == "vllm" and (rows is None or label.number in rows)


def _graphs(memory: Scored) -> str:
    """CUDA graphs: vLLM's own estimate, where it was logged, beside ours."""
    figures = [
        each for each in counted(memory.figures, "CUDA graphs") if each.label.number in memory.estimates
    ]
    theirs = [
        Figure(each.label, each.quantity, memory.estimates[each.label.number], each.measured)
        for each in figures
    ]
    lines = [
        (name, str(len(chosen)), percent(mean_error(chosen)), percent(max(each.size for each in chosen)))
        for name, chosen in (("shipfit", figures), ("vLLM's own estimate, with the model loaded", theirs))
        if chosen
    ]
    return "CUDA graphs, where vLLM logged its estimate:\n\n" + table(
        ("predictor", "rows", "mean error", "largest"), lines
    )
