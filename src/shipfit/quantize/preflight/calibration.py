"""What calibrating a model needs: memory of host and GPU, disk, time. Pure arithmetic on the model's dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.core.units import GIB
from shipfit.models import ModelFacts
from shipfit.precision import scheme
from shipfit.quantize.engines import Engine
from shipfit.quantize.preflight.memory import (
    gate_bytes,
    gpu_bytes,
    host_bytes,
    offloaded_bytes,
    statistics_bytes,
)
from shipfit.spec import Calibration, Gate
from shipfit.spec.precision import Precision

_SINGLE_PRECISION = 5.8
"""How much longer a Hessian's products take on a GPU, in 32 bits and so without tensor cores, than as many in 16 bits:
51 TFLOP/s beside ``efficiency`` of 989 (measured on one H100 80GB, 2026-11-27, 4096 x 16384 by its transpose)."""

_OFFLOADED_BYTES_S = 1.2e9
"""Bytes of hidden states that go from a GPU into fresh memory of the host in a second, between two layers (the same
machine: 1 GiB in 0.9 s beside the arithmetic of its pass)."""

_PINNED_BYTES_S = 1e9
"""Bytes that AWQ keeps on the host instead of the GPU: collected, pinned and brought back for its search, in a second
(the same machine: 16 s longer with 17.7 GB in all, 78 s with 70.9)."""

_WRITTEN_BYTES_S = 0.8e9
"""Bytes of an artifact that are compressed and written to a disk in a second (the same machine: 9.1 GB in 10.8 s)."""


@dataclass(frozen=True)
class Needs:
    """What quantizing and measuring the result need.

    Attributes:
        host_gib: memory of the machine for quantizing, in GiB; everything where there is no GPU.
        gate_gib: the same for the gate.
        gpu_gib: memory of one GPU, in GiB.
        disk_gib: room for the artifact, in GiB, where work in progress lies.
        seconds: how long it takes.
        offloaded: whether the host keeps what the engine can move there from the GPU.
    """

    host_gib: float
    gate_gib: float
    gpu_gib: float
    disk_gib: float
    seconds: float
    offloaded: bool


def needs(
    facts: ModelFacts,
    engine: Engine,
    calibration: Calibration | None,
    tflops: float,
    *,
    gpu: bool,
    answers: bool = False,
    offload: bool = False,
) -> Needs:
    """What an engine needs to quantize a model.

    Args:
        facts: of the source.
        engine: with its settled recipe.
        calibration: how many samples of how many tokens; None without any.
        tflops: 16-bit throughput of the device, in TFLOP/s.
        gpu: whether the device is a GPU with memory of its own.
        answers: whether the gate asks for answers in vLLM.
        offload: whether the host shall keep what the engine can move there: the same artifact, later.
    """
    used = calibration if engine.calibrates else None
    # Of a model with experts llm-compressor's AWQ does so unasked (modifiers/transform/awq/base.py).
    offloaded = gpu and engine.offloads and (offload or bool(facts.experts))
    artifact = artifact_bytes(facts, Precision(engine.recipe["precision"]))
    return Needs(
        host_gib=host_bytes(facts, engine, used, artifact, gpu=gpu, offloaded=offloaded) / GIB,
        gate_gib=gate_bytes(facts, artifact, gpu=gpu, answers=answers) / GIB,
        gpu_gib=gpu_bytes(facts, engine, used, offloaded=offloaded) / GIB if gpu else 0.0,
        disk_gib=artifact / GIB,
        seconds=artifact / _WRITTEN_BYTES_S
        + _working_seconds(facts, engine, used, tflops, gpu=gpu)
        + (facts.layers * offloaded_bytes(facts, engine, used) / _PINNED_BYTES_S if offloaded else 0),
        offloaded=offloaded,
    )


def baseline_bytes(facts: ModelFacts, gate: Gate) -> int:
    """Bytes of what the gate keeps of the source: 16 bits for every token of the vocabulary at every position."""
    return gate.samples * gate.tokens * facts.vocabulary * 2


def artifact_bytes(facts: ModelFacts, precision: Precision) -> float:
    """Bytes of the weights in a precision, with their scales."""
    form = scheme(precision).format
    return sum(
        form.matrix_bytes(weight.rows, weight.columns) * weight.count
        if weight.quantized
        else weight.parameters * weight.wide_bytes
        for weight in facts.weights
    )


def _working_seconds(
    facts: ModelFacts, engine: Engine, used: Calibration | None, tflops: float, *, gpu: bool
) -> float:
    """Passes of the calibration tokens, and GPTQ's arithmetic.

    A pass costs 2 operations a parameter and token. With Hessians, each matrix of r x d adds 2 d^2 a token to collect
    them, 2 d^3 for inverse and Cholesky factor, and 2 r d^2 to spread the errors (arXiv:2210.17323, algorithm 1). That
    algorithm takes one column after another; on a GPU each is a chain of small kernels, whatever its length.
    """
    costs = engine.made.costs
    if used is None:
        return costs.start_s
    tokens = used.samples * used.tokens
    inside = [weight for weight in facts.weights if weight.quantized]
    operations = 2.0 * sum(w.rows * w.columns * w.per_token for w in inside) * tokens
    operations *= costs.passes + costs.searches
    columns = 0
    if statistics_bytes(engine):
        statistics = sum(2.0 * w.columns**2 * w.per_token * tokens for w in inside)
        statistics += sum(2.0 * (w.columns**3 + w.rows * w.columns**2) * w.count for w in inside)
        operations += statistics * (_SINGLE_PRECISION if gpu else 1)
        columns = sum(w.columns * w.count for w in inside)
    seconds = costs.start_s + operations / (tflops * 1e12 * costs.efficiency)
    if gpu:
        seconds += 2.0 * tokens * facts.hidden * facts.layers / _OFFLOADED_BYTES_S
        seconds += columns * costs.column_ms / 1000
    return seconds
