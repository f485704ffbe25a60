"""``shipfit size``: one configuration, what it takes of a GPU's memory and what it holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shipfit.cli.context import AsJson, emit


def size(
    model: Annotated[str, typer.Option(help="org/name, ./folder, s3://bucket/path or bundled:NAME.")],
    gpu: Annotated[str, typer.Option(help="A GPU of the catalogue (shipfit gpus), or cpu.")],
    precision: Annotated[str, typer.Option(help="Such as bf16, fp8-w8a8 or gptq-w4a16.")],
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that share the model (tensor parallel).")] = 1,
    context: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a request; by default the model's own limit.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Requests of that length that must fit at once.")
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="Share of the memory for vLLM; its own default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Size one configuration: the memory of each GPU, and how many requests fit.

    Exit code 1 where it does not fit.

    Example: shipfit size --model meta-llama/Llama-3.1-8B --gpu L40S --precision fp8-w8a8 --context 8192
    """
    from shipfit.core.errors import InputError, VerdictError
    from shipfit.hardware import gpu as gpu_of
    from shipfit.models import load_facts
    from shipfit.precision import scheme
    from shipfit.sizing import size as size_of

    facts = load_facts(model)
    try:
        kind = gpu_of(gpu)
    except InputError as error:
        raise error if error.where else InputError(error.message, hint=error.hint, where="--gpu") from None
    sizing = size_of(
        facts,
        kind,
        scheme(precision),
        gpus=gpus,
        context=context,
        concurrency=concurrency,
        utilization=gpu_memory_utilization,
    )
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value for name, value in vars(sizing).items()
    }
    emit({**rounded, "reasons": list(sizing.reasons)}, as_json=as_json, render=_render)
    if not sizing.fits:
        raise VerdictError(f"{model} in {precision} does not fit {gpus} x {kind.name}: {sizing.reasons[0]}")


def _render(facts: dict[str, Any]) -> None:
    for name in ("weights", "activation", "cuda_graph", "non_torch", "kv_cache"):
        typer.echo(f"{name.replace('_', ' '):12} {facts[f'{name}_gib']:9.2f} GiB a GPU")
    typer.echo(
        f"{'requests':12} {facts['max_concurrency']:9.1f} of {facts['max_model_len']:,} tokens at once"
        f" ({facts['kv_cache_tokens']:,} tokens)"
    )
    if facts["fits"]:
        typer.echo(f"fits: {facts['reasons'][0]}")
