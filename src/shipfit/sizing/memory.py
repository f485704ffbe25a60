"""The memory of one GPU: weights, activations, CUDA graphs, everything outside of PyTorch, and what is left for KV.

    utilization x usable = weights + activation + CUDA graphs + non-torch + KV cache

as vLLM computes it when it starts (vllm/v1/worker/gpu_worker.py, determine_available_memory; CUDA graphs are part of
the sum since 0.21). All figures in bytes unless a name says GiB; all functions are pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shipfit.hardware import Gpu
from shipfit.models import ModelFacts, Split, Weight
from shipfit.precision import Scheme
from shipfit.sizing.engine import Batch, engine

GIB = 2**30
_WIDE = (
    2  # bytes of a number that is not quantized: bf16 or fp16, which float32 checkpoints are served in, too
)
_VOCABULARY_MULTIPLE = (
    64  # vllm/model_executor/layers/vocab_parallel_embedding.py, DEFAULT_VOCAB_PADDING_SIZE
)


def split_refusal(facts: ModelFacts, scheme: Scheme, gpus: int) -> str | None:
    """Why vLLM cannot divide a model between so many GPUs; None where it can.

    Args:
        facts: the model.
        scheme: how its weights are stored.
        gpus: tensor-parallel size.
    """
    if facts.heads % gpus:
        return f"{gpus} GPUs do not divide {facts.heads} attention heads"
    if facts.kv_heads % gpus and gpus % facts.kv_heads:
        return f"{gpus} GPUs and {facts.kv_heads} KV heads do not divide each other"
    for weight in facts.weights:
        if weight.split is Split.INPUTS and weight.columns % gpus:
            return f"{gpus} GPUs do not divide {weight.name} ({weight.columns} inputs)"
        inputs = weight.columns // gpus if weight.split is Split.INPUTS else weight.columns
        if weight.quantized and gpus > 1 and scheme.group > 0 and inputs % scheme.group:
            shards = f"{gpus} GPUs ({inputs} inputs each)"
            return f"a group of {scheme.group} straddles the shards of {weight.name} on {shards}"
    return None


def weight_bytes(facts: ModelFacts, scheme: Scheme, gpus: int) -> float:
    """Bytes of the weights on each GPU.

    Exact where the checkpoint's headers were read and it is served as it is stored: what the derivation does not
    know of then counts on every GPU.
    """
    total = sum(_one_gpu(facts, weight, scheme, gpus) for weight in facts.weights) + _rotary_bytes(facts)
    if facts.stored_bytes is not None and scheme.name == stored_precision(facts):
        derived = sum(_one_gpu(facts, weight, scheme, 1) for weight in facts.weights)
        total += max(0.0, facts.stored_bytes - derived)
    return total


def stored_precision(facts: ModelFacts) -> str | None:
    """The precision that a checkpoint is stored in; None for 32-bit ones and quantizations without a name here."""
    if facts.quantization:
        return facts.quantization.precision
    return {"bfloat16": "bf16", "float16": "fp16"}.get(facts.dtype)


def _one_gpu(facts: ModelFacts, weight: Weight, scheme: Scheme, gpus: int) -> float:
    """Bytes of a kind of weight on each GPU."""
    rows: float = weight.rows
    columns = weight.columns
    if weight.name in ("embedding", "head"):
        rows = math.ceil(rows / _VOCABULARY_MULTIPLE) * _VOCABULARY_MULTIPLE
    if weight.split is Split.OUTPUTS:
        rows /= gpus
    elif weight.split is Split.KV_HEADS:
        rows = rows / facts.kv_heads * kv_heads_per_gpu(facts, gpus)
    elif weight.split is Split.INPUTS:
        columns //= gpus
    converted = weight.quantized or (scheme.embeddings and weight.name in ("embedding", "head"))
    one = scheme.matrix_bytes(rows, columns) if converted else rows * columns * _WIDE
    return one * weight.count


def _rotary_bytes(facts: ModelFacts) -> float:
    """The table of rotary positions, on every GPU: the 0.03 GiB by which Llama 3.1's logs exceed its parameters."""
    return facts.max_position_embeddings * facts.head_dim * _WIDE


def kv_heads_per_gpu(facts: ModelFacts, gpus: int) -> int:
    """KV heads that each GPU holds; at least one, so that some are held several times."""
    return max(1, facts.kv_heads // gpus)


@dataclass(frozen=True)
class KvCache:
    """How the KV cache of one GPU is laid out.

    Attributes:
        token_bytes: bytes of one token in all layers.
        request_bytes: bytes that a request of the full context takes at most.
    """

    token_bytes: int
    request_bytes: int


def kv_cache(facts: ModelFacts, gpu: Gpu, gpus: int, context: int, batched_tokens: int) -> KvCache:
    """The KV cache's layout (vllm/v1/core/kv_cache_utils.py, groups of a uniform page size).

    Layers with and without a window lie in groups of equally many layers; the last group of a kind is filled up.
    A windowed layer keeps the window and what one step adds to it, and a block more, since it begins anywhere.

    Args:
        facts: the model.
        gpu: the kind of GPU (a processor has larger blocks).
        gpus: tensor-parallel size.
        context: tokens of a request.
        batched_tokens: tokens of a step, at most.
    """
    block = engine().cpu_block_tokens if gpu.cpu else engine().block_tokens
    layer = 2 * kv_heads_per_gpu(facts, gpus) * facts.head_dim * _WIDE  # keys and values of one token
    windowed, full = facts.sliding_layers, facts.layers - facts.sliding_layers
    size = _group_size(full, windowed)
    full_groups, windowed_groups = math.ceil(full / size), math.ceil(windowed / size)
    full_blocks = math.ceil(context / block)
    kept = min((facts.sliding_window or 0) - 1 + batched_tokens, context)
    windowed_blocks = math.ceil(kept / block) + 1
    blocks = full_groups * full_blocks + windowed_groups * windowed_blocks
    return KvCache(
        token_bytes=(full_groups + windowed_groups) * size * layer,
        request_bytes=blocks * block * size * layer,
    )


def _group_size(full: int, windowed: int) -> int:
    """Layers that share a block's number."""
    if not full or not windowed:
        return full or windowed
    least, most = sorted((full, windowed))
    return most if most < least * engine().window_group_ratio else least


def activation_bytes(facts: ModelFacts, gpus: int, batch: Batch) -> float:
    """Peak of a step's intermediate results: the sampler's, the residual stream's, the experts'.

    Args:
        facts: the model.
        gpus: tensor-parallel size; only experts' buffers shrink with it.
        batch: how much vLLM takes into one step.
    """
    figures = engine()
    sampler = batch.max_num_seqs * facts.vocabulary * figures.sampler_bytes
    tokens = batch.max_num_batched_tokens
    residual = tokens * facts.hidden * _WIDE * figures.residual_copies
    experts = 0.0
    if facts.experts:
        # gate and up, their product, and the output, for every expert that a token passes through
        widths = 3 * facts.experts.intermediate / gpus + facts.hidden
        experts = tokens * facts.experts.per_token * widths * _WIDE
    return sampler + residual + experts


def cuda_graph_bytes(facts: ModelFacts, gpu: Gpu, batch: Batch) -> float:
    """Memory of the captured CUDA graphs; none on a processor."""
    if gpu.capability is None:
        return 0.0
    figures = engine()
    share = captured_sizes(gpu.capability, batch) / figures.cuda_graph_sizes
    return facts.layers * figures.cuda_graph_mib_per_layer * 2**20 * share


def captured_sizes(capability: float, batch: Batch) -> int:
    """For how many batch sizes vLLM captures a graph (vllm/config/vllm.py, _set_cudagraph_sizes)."""
    largest = min(
        2 * batch.max_num_seqs, 1024 if 10 <= capability < 11 else 512, batch.max_num_batched_tokens
    )
    sizes = [1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, 16)]
    return sum(size <= largest for size in sizes)


def non_torch_bytes(gpu: Gpu, gpus: int) -> float:
    """What CUDA and NCCL hold outside of PyTorch; on a processor, vLLM's processes themselves."""
    figures = engine()
    if gpu.cpu:
        return figures.cpu_processes_gib * GIB
    return (figures.non_torch_parallel_gib if gpus > 1 else figures.non_torch_gib) * GIB
