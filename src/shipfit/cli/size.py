"""``shipfit size``: one configuration, what it takes of a GPU's memory, what it holds and how fast it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shipfit.cli.context import AsJson, emit, flag, require_cores

if TYPE_CHECKING:
    from shipfit.hardware import Gpu
    from shipfit.models import ModelFacts
    from shipfit.precision import Scheme
    from shipfit.sizing import Replica, Sizing

_MOST = 100_000_000  # tokens or sequences; no model and no step takes more
_TOKENS = 16
"""A context that follows from a workload is rounded up to it: tokens of a KV cache block."""


def size(
    model: Annotated[str, typer.Option(help="org/name, ./folder, s3://bucket/path or bundled:NAME.")],
    gpu: Annotated[str | None, typer.Option(help="A GPU of the catalogue (shipfit gpus), or cpu.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Such as bf16 or fp8-w8a8; by default as the checkpoint is stored.")
    ] = None,
    gpus: Annotated[
        int, typer.Option(min=1, max=1024, help="GPUs that share every layer; of cpu, cores.")
    ] = 1,
    pipeline: Annotated[int, typer.Option(min=1, max=1024, help="Groups of such GPUs, by layers.")] = 1,
    context: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST,
            help="Tokens of a request; by default the workload's, else the model's own limit.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Requests of that length that must fit at once.")
    ] = None,
    input_tokens: Annotated[
        int | None, typer.Option(min=1, max=_MOST, help="Tokens of a prompt: adds speeds.")
    ] = None,
    output_tokens: Annotated[int | None, typer.Option(min=1, max=_MOST, help="Tokens of an answer.")] = None,
    request_rate: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1e6, help="Requests a second; else --concurrency are always in flight."),
    ] = None,
    ttft_ms: Annotated[
        float | None, typer.Option(min=0.001, help="Limit of the time to first token, for the largest rate.")
    ] = None,
    tpot_ms: Annotated[
        float | None,
        typer.Option(min=0.001, help="Limit of the time per output token, for the largest rate."),
    ] = None,
    max_num_seqs: Annotated[
        int | None, typer.Option(min=1, max=_MOST, help="As vLLM's; its own default.")
    ] = None,
    max_num_batched_tokens: Annotated[
        int | None, typer.Option(min=1, max=_MOST, help="As vLLM's; its own default.")
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="As vLLM's; its own default.")
    ] = None,
    kv_cache_dtype: Annotated[Literal["auto", "fp8"], typer.Option(help="As vLLM's.")] = "auto",
    enforce_eager: Annotated[
        bool, typer.Option("--enforce-eager", help="As vLLM's: no CUDA graphs.")
    ] = False,
    gpu_memory_gib: Annotated[
        float | None,
        typer.Option(min=0.1, max=4096, help="GiB that one process can use; enough without --gpu."),
    ] = None,
    vllm_version: Annotated[
        str | None, typer.Option(help="Release of vLLM; the one that shipfit serves with.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Size one configuration: the memory of each GPU, how many requests fit and, for a workload, how fast they are.

    Exit code 1 where it does not fit; the figures are printed all the same.

    Example: shipfit size --model meta-llama/Llama-3.1-8B --gpu L40S --precision fp8-w8a8 --context 8192
    """
    from shipfit.core.errors import InputError, VerdictError
    from shipfit.models import load_facts
    from shipfit.sizing import Replica, Settings
    from shipfit.sizing import size as size_of

    workload = _workload(input_tokens, output_tokens, request_rate, ttft_ms, tpot_ms)
    facts = load_facts(model)
    kind = _gpu(gpu, gpu_memory_gib)
    if workload and kind.anonymous:
        raise InputError(
            "is missing", hint="speed needs more than the memory of a GPU: name it", where="--gpu"
        )
    require_cores(kind, gpus)
    if kind.cpu and pipeline > 1:
        raise InputError("is for GPUs: a processor has no stages", hint="leave it out", where="--pipeline")
    scheme = _scheme(precision, facts, kind)
    settings = Settings(
        tensor=1 if kind.cpu else gpus,
        pipeline=pipeline,
        context=_context(context, facts, workload),
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        utilization=gpu_memory_utilization,
        kv_cache=kv_cache_dtype,
        eager=enforce_eager,
        version=vllm_version,
    )
    with flag("--vllm-version"):
        sizing = size_of(facts, kind, scheme, settings, concurrency=concurrency)
    replica = Replica(facts, scheme, kind, replace(settings, tensor=gpus))
    speed = _speed(replica, workload, concurrency) if workload else _NO_SPEED
    chosen = {"model": model, "precision": scheme.name, "gpu": kind.name, "gpus": gpus * pipeline}
    emit({**chosen, **_memory(sizing), **speed}, as_json=as_json, render=_render)
    if not sizing.fits:
        where = f"{gpus * pipeline} x {kind.name}"
        raise VerdictError(f"{model} in {scheme.name} does not fit {where}: {sizing.reasons[0]}")


@dataclass(frozen=True)
class _Workload:
    """What is asked of the replica; limits in seconds."""

    tokens_in: int
    tokens_out: int
    rate: float | None
    ttft_s: float | None
    tpot_s: float | None


_NO_SPEED: dict[str, float | None] = {
    "ttft_ms": None,
    "tpot_ms": None,
    "output_tokens_per_s": None,
    "max_request_rate": None,
}


def _workload(
    tokens_in: int | None,
    tokens_out: int | None,
    rate: float | None,
    ttft_ms: float | None,
    tpot_ms: float | None,
) -> _Workload | None:
    """The workload; None where none is given."""
    from shipfit.core.errors import InputError

    if tokens_in and tokens_out:
        return _Workload(tokens_in, tokens_out, rate, ttft_ms and ttft_ms / 1e3, tpot_ms and tpot_ms / 1e3)
    others = {
        "--input-tokens": tokens_in,
        "--output-tokens": tokens_out,
        "--request-rate": rate,
        "--ttft-ms": ttft_ms,
        "--tpot-ms": tpot_ms,
    }
    if given := next((name for name, value in others.items() if value is not None), None):
        missing = next(name for name in ("--input-tokens", "--output-tokens") if others[name] is None)
        raise InputError("is missing", hint=f"{given} describes a workload, which needs it", where=missing)
    return None


def _gpu(name: str | None, memory_gib: float | None) -> Gpu:
    """The GPU by its name, by its memory alone, or by its name with other memory."""
    from shipfit.core.errors import InputError
    from shipfit.hardware import anonymous
    from shipfit.hardware import gpu as gpu_of

    if name is None:
        if memory_gib is None:
            raise InputError("is missing", hint="name a GPU, or give --gpu-memory-gib", where="--gpu")
        return anonymous(memory_gib)
    with flag("--gpu"):
        kind = gpu_of(name)
    return kind.model_copy(update={"usable_gib": memory_gib}) if memory_gib else kind


def _scheme(precision: str | None, facts: ModelFacts, gpu: Gpu) -> Scheme:
    from shipfit.precision import scheme
    from shipfit.sizing import served_as

    with flag("--precision"):
        return scheme(precision) if precision else served_as(facts, gpu)


def _context(context: int | None, facts: ModelFacts, workload: _Workload | None) -> int:
    """Tokens of a request: as given, else those of the workload, else the model's own limit."""
    from shipfit.core.errors import InputError

    held = facts.max_position_embeddings
    if context is None:
        if workload is None:
            return held
        tokens = workload.tokens_in + workload.tokens_out
        context = min(math.ceil(tokens / _TOKENS) * _TOKENS, max(held, tokens))
    if context > held:
        raise InputError(
            f"is {context:,}, and {facts.name} holds {held:,} tokens", hint="lower it", where="--context"
        )
    return context


def _speed(replica: Replica, workload: _Workload, concurrency: int | None) -> dict[str, float | None]:
    """The speed of the workload: at a rate, or with always so many requests in flight, one by default."""
    from shipfit.sizing import max_rate, seats, serve, steady

    lengths = workload.tokens_in, workload.tokens_out
    held = seats(replica, *lengths)
    if held < 1:
        return _NO_SPEED
    if workload.rate:
        speed = serve(replica, 1, workload.rate, *lengths, held)
    else:
        speed = steady(replica, concurrency or 1, *lengths, seats=held)
    most = max_rate(replica, *lengths, held, ttft_s=workload.ttft_s, tpot_s=workload.tpot_s)
    return {
        "ttft_ms": round(speed.ttft_s * 1e3, 2),
        "tpot_ms": round(speed.tpot_s * 1e3, 3),
        "output_tokens_per_s": round(speed.tokens_per_s, 2),
        "max_request_rate": round(most, 4),
    }


_MEMORY = (
    "weights_gib", "activation_gib", "cuda_graph_gib", "non_torch_gib", "kv_cache_gib", "kv_cache_tokens",
    "max_concurrency", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "fits", "reasons",
)  # fmt: skip


def _memory(sizing: Sizing) -> dict[str, Any]:
    values = {name: getattr(sizing, name) for name in _MEMORY}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def _render(facts: dict[str, Any]) -> None:
    typer.echo(f"{facts['model']} in {facts['precision']} on {facts['gpus']} x {facts['gpu']}")
    for name in ("weights", "activation", "cuda_graph", "non_torch", "kv_cache"):
        typer.echo(f"{name.replace('_', ' '):12} {facts[f'{name}_gib']:9.2f} GiB a GPU")
    typer.echo(
        f"{'requests':12} {facts['max_concurrency']:9.1f} of {facts['max_model_len']:,} tokens at once"
        f" ({facts['kv_cache_tokens']:,} tokens)"
    )
    if facts["ttft_ms"] is not None:
        typer.echo(f"{'first token':12} {facts['ttft_ms']:9,.0f} ms, on average")
        typer.echo(f"{'then':12} {facts['tpot_ms']:9.1f} ms a token")
        typer.echo(f"{'output':12} {facts['output_tokens_per_s']:9,.1f} tokens/s")
        typer.echo(
            f"{'at most':12} {facts['max_request_rate']:9.2f} such requests a second within the limits, on average"
        )
    if facts["fits"]:
        typer.echo(f"fits: {facts['reasons'][0]}")
