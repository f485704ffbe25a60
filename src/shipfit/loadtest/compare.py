"""The plan beside what was measured. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shipfit.loadtest.report import Comparison, LoadTestReport, Row
from shipfit.serve.measured import ReplicaMemory
from shipfit.sizing import Plan


def compare(plan: Plan, report: LoadTestReport, memory: Sequence[ReplicaMemory]) -> Comparison:
    """Every quantity that the plan predicted and that was measured.

    Speed is compared by means, which is what the plan predicts; memory by the mean over replicas.
    """
    return Comparison(rows=[*_memory_rows(plan, memory), *_speed_rows(plan, report)])


def _memory_rows(plan: Plan, memory: Sequence[ReplicaMemory]) -> Iterator[Row]:
    predicted = plan.memory
    weights = [m.checkpoint_gib if m.weights_gib is None else m.weights_gib for m in memory]
    yield from _row("weights of a replica", "GiB", predicted.weights_gib, weights)
    yield from _row("KV cache of a replica", "GiB", predicted.kv_cache_gib, [m.kv_cache_gib for m in memory])
    yield from _row(
        "KV cache of a replica", "tokens", predicted.kv_cache_tokens, [m.kv_cache_tokens for m in memory]
    )
    if plan.gpu == "cpu":  # elsewhere resident memory is the host's, of which the plan says nothing
        whole = (
            predicted.weights_gib
            + predicted.activation_gib
            + predicted.non_torch_gib
            + predicted.kv_cache_gib
        )
        yield from _row("memory of a replica", "GiB", whole, [m.resident_gib for m in memory])


def _speed_rows(plan: Plan, report: LoadTestReport) -> Iterator[Row]:
    speed, latency = plan.speed, report.latency
    if speed is None:
        return
    if latency.ttft_ms:
        yield from _row("time to first token, mean", "ms", speed.ttft_ms, [latency.ttft_ms.mean])
    if latency.tpot_ms:
        yield from _row("time per output token, mean", "ms", speed.tpot_ms, [latency.tpot_ms.mean])
    if report.succeeded:
        measured = report.throughput.output_tokens_per_s
        yield from _row("output of all replicas", "tokens/s", speed.output_tokens_per_s, [measured])


def _row(quantity: str, unit: str, predicted: float, measured: Sequence[float | None]) -> Iterator[Row]:
    known = [value for value in measured if value is not None]
    if known:
        mean = sum(known) / len(known)
        yield Row(
            quantity=quantity,
            unit=unit,
            predicted=predicted,
            measured=mean,
            ratio=mean / predicted if predicted else None,
        )
