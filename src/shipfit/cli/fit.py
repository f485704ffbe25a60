"""``shipfit fit``: what a GPU, or several of them together, can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, emit, flag, require_cores
from shipfit.core.units import GIB

if TYPE_CHECKING:
    from shipfit.hardware import Gpu
    from shipfit.models import ModelFacts
    from shipfit.sizing import Settings


def fit(
    gpu: Annotated[str, typer.Option(help="A GPU of the catalogue (shipfit gpus), or cpu.")],
    gpus: Annotated[int, typer.Option(min=1, max=1024, help="GPUs that share the model; of cpu, cores.")] = 1,
    context: Annotated[int, typer.Option(min=1, max=10_000_000, help="Tokens of a request.")] = 8192,
    as_json: AsJson = False,
) -> None:
    """Show which well-known models fit a GPU in which precision, and how many requests each holds at once.

    Example: shipfit fit --gpu L40S --gpus 2 --context 16384
    """
    from shipfit.hardware import gpu as gpu_of

    with flag("--gpu"):
        kind = gpu_of(gpu)
    require_cores(kind, gpus)
    models = [_model(facts, kind, gpus, context) for facts in _models()]
    facts = {
        "gpu": kind.name,
        "gpus": gpus,
        "context": context,
        "models": [each for each in models if each["fits"]],
        "too_large": [each["model"] for each in models if not each["fits"]],
    }
    emit(facts, as_json=as_json, render=_render)


def _models() -> list[ModelFacts]:
    """One of each size among the well-known models, the largest first; quantized ones where there is no other."""
    from shipfit.models import load_facts
    from shipfit.models.catalogue import entries

    plain_first = sorted(entries(), key=lambda entry: "quantization_config" in entry.config)
    chosen: dict[tuple[str, ...], str] = {}
    for entry in plain_first:
        chosen.setdefault(_shape(entry.config), entry.names[0])
    return sorted(map(load_facts, chosen.values()), key=lambda facts: -facts.parameters)


def _shape(config: dict[str, Any]) -> tuple[str, ...]:
    """What models of the same size have in common."""
    text = config.get("text_config", config)
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "moe_intermediate_size", "vocab_size")
    return (*config.get("architectures", ()), *(str(text.get(name)) for name in names))


def _model(facts: ModelFacts, gpu: Gpu, gpus: int, context: int) -> dict[str, Any]:
    """The least aggressive precision of each width in which a model fits."""
    from shipfit.sizing import Settings

    settings = Settings(tensor=1 if gpu.cpu else gpus, context=min(context, facts.max_position_embeddings))
    fits = {f"{bits}": found for bits in _WIDTHS if (found := _fit(facts, gpu, settings, bits))}
    return {
        "model": facts.name,
        "parameters": facts.parameters,
        "context": settings.context,
        "fits": fits,
    }


_WIDTHS = (16, 8, 4)
"""Bits of a weight; below 4 nothing is chosen unasked."""


def _fit(facts: ModelFacts, gpu: Gpu, settings: Settings, bits: int) -> dict[str, Any] | None:
    """The first precision of a width that fits, and what it holds; None where none does."""
    from shipfit.precision import schemes
    from shipfit.sizing import size
    from shipfit.sizing.memory.weights import stored_precision, weight_bytes

    own = stored_precision(facts) if facts.quantization else None
    for scheme in schemes().values():
        if scheme.bits != bits or (scheme.name != own if facts.quantization else not scheme.automatic):
            continue
        if weight_bytes(facts, scheme, settings, gpu.capability) > gpu.memory_gib * GIB:
            return None  # others of the width weigh about the same: seen without sizing the rest
        sizing = size(facts, gpu, scheme, settings)
        if sizing.fits:
            return {
                "precision": scheme.name,
                "weights_gib": round(sizing.weights_gib, 2),
                "kv_cache_tokens": sizing.kv_cache_tokens,
                "requests": min(int(sizing.max_concurrency), sizing.max_num_seqs),
            }
    return None


_ROWS = 40  # of the table; what is left out is smaller, and fits anyway


def _render(facts: dict[str, Any]) -> None:
    where = f"{facts['gpus']} x {facts['gpu']}" if facts["gpus"] > 1 else facts["gpu"]
    typer.echo(f"Requests of {facts['context']:,} tokens at once on {typer.style(where, bold=True)}:")
    shown = facts["models"][:_ROWS]
    width = max((len(each["model"]) for each in shown), default=0)
    heads = "".join(f"{bits:>18} bits" for bits in _WIDTHS)
    typer.echo(f"{'model':{width}} {'parameters':>10}{heads}")
    for each in shown:
        cells = "".join(_cell(each["fits"].get(f"{bits}")) for bits in _WIDTHS)
        typer.echo(f"{each['model']:{width}} {each['parameters'] / 1e9:9.1f}B{cells}")
    smaller, larger = len(facts["models"]) - _ROWS, len(facts["too_large"])
    if smaller > 0:
        typer.echo(f"and {smaller} smaller models (--json lists them)")
    if larger:
        typer.echo(f"too large, or not served there: {larger} models (--json lists them)")


def _cell(found: dict[str, Any] | None) -> str:
    return f"{found['precision']:>15}{found['requests']:8,}" if found else f"{'-':>23}"
