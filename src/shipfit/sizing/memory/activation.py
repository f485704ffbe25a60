"""What a step holds beside weights and KV cache, at most: vLLM measures it by a step as large as any will be.

That step (vllm/v1/worker/gpu_model_runner.py, profile_run) reads as many tokens as a step may take in, then samples
for as many sequences as it may take in. Its peak lies in one of these, on top of what the whole step keeps.
Of 43 start-ups of releases 0.7 to 0.19 whose settings are known, 42 are predicted within 0.07 GiB (docs/accuracy.md).
"""

from __future__ import annotations

from shipfit.core.units import GIB, MIB
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts, Split
from shipfit.sizing.memory import images, sampling
from shipfit.sizing.memory.term import WIDE, Term, total_gib
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

_GATED = 1.5
"""Gate and up together, and their product: half as wide (vllm/model_executor/layers/activation.py, SiluAndMul)."""
_RUNNER = "vllm/v1/worker/gpu_model_runner.py, profile_run"


def activation(facts: ModelFacts, gpu: Gpu, settings: Settings, start: Start) -> tuple[Term, ...]:
    """The peak: what the whole step keeps, and the largest of its parts: encoding images, reading, sampling.

    Args:
        facts: the model.
        gpu: the kind of GPU.
        settings: how the model is split.
        start: how the replica runs.
    """
    experts = _expert_buffers(facts, settings, start)
    kept = [*images.kept(facts, start), *_matrix_library(gpu, start), *sampling.kept(facts, gpu, start)]
    reading = _reading(facts, settings, start)
    capability = gpu.capability or 0
    if next(each.kept for each in start.release.expert_buffers_kept if capability >= each.capability):
        kept += experts
    else:
        reading += experts
    parts = (reading, sampling.sampling(facts, gpu, settings, start), images.encoding(facts, settings, start))
    return (*kept, *max(parts, key=total_gib))


def _reading(facts: ModelFacts, settings: Settings, start: Start) -> list[Term]:
    """A layer's intermediate results for all tokens of the step."""
    tokens = start.tokens
    wide = _widest(facts) / settings.tensor
    copies = start.release.hidden_copies
    numbers = copies * facts.hidden + _GATED * wide
    terms = [
        Term(
            "activation",
            "a layer's results",
            tokens * numbers * WIDE / GIB,
            f"{tokens:,} tokens x ({copies} x {facts.hidden:,} + {_GATED} x {wide:,.0f}) x {WIDE} bytes",
            _RUNNER,
        )
    ]
    expanded = max((each.rows for each in facts.weights if each.name == "attention.latent_up"), default=0)
    if expanded:
        own = expanded / settings.tensor
        limit = start.release.latent_expanded
        blocks = limit.blocks * start.sequences * start.release.block_tokens
        at_once = min(max(limit.contexts * start.context, blocks), limit.tokens)
        terms.append(
            Term(
                "activation",
                "expanded latent vectors",
                at_once * own * WIDE / GIB,
                f"{at_once:,} tokens x {own:,.0f} numbers x {WIDE} bytes",
                "vllm/model_executor/layers/attention/mla_attention.py",
            )
        )
    return terms


def _widest(facts: ModelFacts) -> int:
    """Outputs of the widest matrix of a layer outside of the experts, what the engine fuses counted as one."""
    widths: dict[tuple[str, tuple[int, ...]], int] = {}
    for weight in facts.weights:
        if (
            weight.layers
            and weight.active is None
            and weight.columns > 1
            and weight.split is not Split.INPUTS
        ):
            matrix = weight.fused or weight.name, weight.layers
            widths[matrix] = widths.get(matrix, 0) + weight.rows * weight.each
    return max(widths.values(), default=0)


def _expert_buffers(facts: ModelFacts, settings: Settings, start: Start) -> list[Term]:
    """Two buffers that the experts of a layer work in (fused_moe/experts/triton_moe.py, workspace_shapes)."""
    experts = facts.experts
    if experts is None:
        return []
    width = experts.intermediate / (1 if settings.expert_parallel else settings.tensor)
    numbers = max(2 * width, facts.hidden) + max(width, facts.hidden)
    rows = start.tokens * experts.per_token
    return [
        Term(
            "activation",
            "experts' buffers",
            rows * numbers * WIDE / GIB,
            f"{start.tokens:,} tokens x {experts.per_token} experts x {numbers:,.0f} numbers x {WIDE} bytes",
            "vllm/model_executor/layers/fused_moe, workspace_shapes",
        )
    ]


def _matrix_library(gpu: Gpu, start: Start) -> list[Term]:
    if gpu.cpu:
        return []
    kept = next(e.mib for e in start.release.matrix_library_mib if (gpu.capability or 0) >= e.capability)
    source = "pytorch, aten/src/ATen/cuda/CUDABlas.cpp"
    return [Term("activation", "matrix library", kept * MIB / GIB, f"{kept:g} MiB", source)]
