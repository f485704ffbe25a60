"""``shipfit import-log``: a start-up of vLLM that was measured, beside what shipfit predicts of it."""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, emit, flag

if TYPE_CHECKING:
    from shipfit.hardware import Gpu
    from shipfit.models import ModelFacts
    from shipfit.precision import Scheme
    from shipfit.sizing import Sizing
    from shipfit.sizing.importlog import StartupLog

_MAX_BYTES = 64 * 2**20  # a start-up is a few hundred lines; what follows is traffic


def import_log(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What vLLM printed when it started.")],
    gpu: Annotated[
        str | None, typer.Option(help="The GPU it ran on, as in shipfit gpus; a log does not name it.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model, where the log names a folder that is not here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a start-up log of vLLM: measured memory beside the prediction, and the row to contribute.

    Example: shipfit import-log vllm.log --gpu H100-SXM5-80GB
    """
    from shipfit.models import load_facts
    from shipfit.sizing import size
    from shipfit.sizing.importlog import log_row, log_settings, parse_log

    with flag(str(file)):
        log = parse_log(_read(file))
        name = _model(log) if model is None else model
        kind = _gpu(log, gpu)
        facts = load_facts(name)
        scheme = _scheme(log, facts, kind)
        sizing = size(facts, kind, scheme, log_settings(log))
    comparison = {
        "model": name,
        "precision": scheme.name,
        "gpu": kind.name,
        "version": log.version,
        "outcome": log.outcome,
        "outcome_detail": log.detail,
        "speculative": log.speculative,
        "predicted_fits": sizing.fits,
        "predicted_reason": sizing.reasons[0],
        "quantities": _quantities(log, sizing),
        "row": log_row(log, gpu or "", file.name),
    }
    emit(comparison, as_json=as_json, render=_render)


def _read(file: Path) -> str:
    from shipfit.core.errors import InputError

    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", hint="name a file that vLLM printed") from None
    # what PowerShell redirects to a file is UTF-16
    return data.decode("utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8", "replace")


def _model(log: StartupLog) -> str:
    from shipfit.core.errors import InputError

    if log.model is None:
        raise InputError("does not name the model", hint="name it by --model")
    return log.model


def _gpu(log: StartupLog, name: str | None) -> Gpu:
    """The GPU, with the memory that vLLM measured where the log says it."""
    from shipfit.core.errors import InputError
    from shipfit.hardware import anonymous
    from shipfit.hardware import gpu as gpu_of

    total = log.figures.get("total_gib")
    if name is None:
        if total is None:
            raise InputError("does not say how much memory the GPU has", hint="name it by --gpu")
        return anonymous(total)
    with flag("--gpu"):
        kind = gpu_of(name)
    return kind.model_copy(update={"usable_gib": total}) if total else kind


_AT_LOAD = {"fp8": "fp8-w8a8", "bitsandbytes": "bnb-nf4"}
"""Precisions that vLLM makes of 16-bit weights while it loads them, by what its log calls them."""
_WIDE = {"torch.bfloat16": "bf16", "torch.float16": "fp16"}


def _scheme(log: StartupLog, facts: ModelFacts, gpu: Gpu) -> Scheme:
    """What it was served in: as the checkpoint is quantized, or as the log says."""
    from shipfit.core.errors import InputError
    from shipfit.precision import scheme
    from shipfit.sizing import served_as

    quantization = log.options.get("quantization")
    if facts.quantization or not quantization:
        stored = served_as(facts, gpu)
        named = _WIDE.get(log.options.get("dtype", ""))
        return scheme(named) if named and not facts.quantization else stored
    if quantization not in _AT_LOAD:
        raise InputError(
            f"says that {facts.name} is quantized by {quantization}, and its configuration does not",
            hint="name the checkpoint that was served by --model",
        )
    return scheme(_AT_LOAD[quantization])


_COMPARED = {
    "weights": ("weights_gib", "GiB"),
    "activations": ("activation_gib", "GiB"),
    "CUDA graphs": ("cuda_graph_gib", "GiB"),
    "outside of PyTorch": ("non_torch_gib", "GiB"),
    "all but the KV cache": ("without_kv_gib", "GiB"),
    "KV cache": ("kv_cache_gib", "GiB"),
    "KV cache in tokens": ("kv_cache_tokens", "tokens"),
    "requests at once": ("max_concurrency", "requests"),
}


def _quantities(log: StartupLog, sizing: Sizing) -> list[dict[str, Any]]:
    """Each measured quantity beside the predicted one."""
    found = []
    for name, (field, unit) in _COMPARED.items():
        if (measured := log.figures.get(field)) is not None:
            predicted = float(getattr(sizing, field))
            found.append(
                {
                    "quantity": name,
                    "unit": unit,
                    "predicted": round(predicted, 3),
                    "measured": measured,
                    "error": round(predicted / measured - 1, 4) if measured else None,
                }
            )
    return found


def _render(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    release = (
        f"vLLM {facts['version']}" if facts["version"] else "vLLM of a release that the log does not name"
    )
    console.print(
        f"[bold]{facts['model']}[/bold] in {facts['precision']} on {facts['gpu']}, {release}: "
        f"{facts['outcome'] or 'the log stops before the end'}",
        soft_wrap=True,
    )
    if facts["outcome"] not in (None, "served"):
        console.print(f"  {facts['outcome_detail']}", markup=False, soft_wrap=True)
    says = "it fits" if facts["predicted_fits"] else "it does not fit"
    console.print(f"predicted: {says}: {facts['predicted_reason']}", markup=False, soft_wrap=True)
    if facts["speculative"]:
        console.print(
            "what was measured includes a draft model, which the prediction does not", soft_wrap=True
        )
    table = Table("", "predicted", "measured", "error", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in facts["quantities"]:
        places = 2 if each["unit"] == "GiB" else 1 if each["unit"] == "requests" else 0
        numbers = (f"{each[key]:,.{places}f} {each['unit']}" for key in ("predicted", "measured"))
        table.add_row(each["quantity"], *numbers, "" if each["error"] is None else f"{each['error']:+.1%}")
    console.print(table)
    typer.echo("\nThe row to contribute:\n" + _csv(facts["row"]))


def _csv(row: dict[str, str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)
    return text.getvalue().rstrip()
