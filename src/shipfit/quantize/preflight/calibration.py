"""What calibrating a model needs: memory of host and GPU, disk, time. Pure arithmetic on the model's dimensions.

Engines work layer by layer: one layer is on the GPU, with the second-order statistics of each of its matrices (GPTQ,
arXiv:2210.17323, section 3: a Hessian of d x d for d inputs), while the host holds the model and every sample's
hidden states between two layers. Without a GPU all of it is in the host's memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.core.units import GIB
from shipfit.models import ModelFacts, Weight
from shipfit.precision import scheme
from shipfit.quantize.engines import Engine
from shipfit.spec import Calibration, Gate
from shipfit.spec.precision import Precision


@dataclass(frozen=True)
class Needs:
    """What quantizing needs.

    Attributes:
        host_gib: memory of the machine, in GiB; everything where there is no GPU.
        gpu_gib: memory of one GPU, in GiB.
        disk_gib: room for the artifact, in GiB, where work in progress lies.
        seconds: how long it takes; None where the device's throughput is not known.
    """

    host_gib: float
    gpu_gib: float
    disk_gib: float
    seconds: float | None


def needs(
    facts: ModelFacts, engine: Engine, calibration: Calibration | None, tflops: float | None, *, gpu: bool
) -> Needs:
    """What an engine needs to quantize a model.

    Args:
        facts: of the source.
        engine: with its settled recipe.
        calibration: how many samples of how many tokens; None without any.
        tflops: 16-bit throughput of the device, in TFLOP/s; None if it is not known.
        gpu: whether the device is a GPU with memory of its own.
    """
    costs = engine.made.costs
    source = sum(weight.parameters * weight.wide_bytes for weight in facts.weights)
    used = calibration if engine.calibrates else None
    tokens = used.samples * used.tokens if used else 0
    hidden = tokens * facts.hidden * 2 * costs.hidden
    device = (
        _layer_bytes(facts)
        + _statistics(facts, _square_bytes(engine) if tokens else 0)
        + (_pass(facts, used, engine.declared.batch or 1) if used else 0)
    )
    host = costs.model * source + hidden + costs.overhead_gib * GIB
    return Needs(
        host_gib=(host + (0 if gpu else device)) / GIB,
        gpu_gib=device / GIB if gpu else 0.0,
        disk_gib=artifact_bytes(facts, Precision(engine.recipe["precision"])) / GIB,
        seconds=_seconds(facts, engine, tokens, tflops) if tflops else None,
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


def _square_bytes(engine: Engine) -> float:
    """Bytes of a Hessian for each square of its inputs; rounding to the nearest collects none."""
    return 0.0 if engine.recipe.get("rounding") == "nearest" else engine.made.costs.hessian_bytes


def _layer_bytes(facts: ModelFacts) -> float:
    """The largest layer, in 16 bits."""
    return max(
        (
            sum(2 * w.rows * w.columns * w.each for w in _of_layer(facts, layer))
            for layer in range(facts.layers)
        ),
        default=0,
    )


def _statistics(facts: ModelFacts, square_bytes: float) -> float:
    """The Hessians of the layer that has the largest; each expert's matrices have their own."""
    return max(
        (
            sum(square_bytes * w.columns**2 * w.each for w in _of_layer(facts, layer) if w.quantized)
            for layer in range(facts.layers)
        ),
        default=0,
    )


def _pass(facts: ModelFacts, calibration: Calibration, batch: int) -> float:
    """Intermediate results of one batch: inputs and outputs of the widest matrices, in 16 bits."""
    widest = max((w.rows + w.columns for w in facts.weights if w.quantized), default=0)
    return 2 * min(batch, calibration.samples) * calibration.tokens * (widest + 2 * facts.hidden)


def _of_layer(facts: ModelFacts, layer: int) -> list[Weight]:
    return [weight for weight in facts.weights if layer in weight.layers]


def _seconds(facts: ModelFacts, engine: Engine, tokens: int, tflops: float) -> float:
    """Passes of the calibration tokens, and GPTQ's arithmetic.

    A pass costs 2 operations a parameter and token. With Hessians, each matrix of r x d adds 2 d^2 a token to collect
    them, 2 d^3 for inverse and Cholesky factor, and 2 r d^2 to spread the errors (arXiv:2210.17323, algorithm 1).
    """
    costs = engine.made.costs
    inside = [weight for weight in facts.weights if weight.quantized]
    operations = 2.0 * sum(w.rows * w.columns * w.per_token for w in inside) * tokens
    operations *= costs.passes + costs.searches
    if _square_bytes(engine) and tokens:
        for w in inside:
            operations += 2 * w.columns**2 * w.per_token * tokens
            operations += 2 * (w.columns**3 + w.rows * w.columns**2) * w.count
    return costs.start_s + operations / (tflops * 1e12 * costs.efficiency)
