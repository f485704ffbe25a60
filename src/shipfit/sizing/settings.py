"""What a replica is started with: how it is split, and the few of vLLM's settings that memory and speed depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KvFormat = Literal["auto", "fp8"]
"""Number format of the KV cache: ``auto`` is the model's own 16 bits, or what its checkpoint asks for."""


@dataclass(frozen=True)
class Settings:
    """How one replica is started; what is None is left to vLLM, whose own default then counts.

    Attributes:
        tensor: GPUs that share every layer (tensor parallel).
        pipeline: groups of GPUs that each hold some of the layers (pipeline parallel).
        expert_parallel: whether experts are divided by number, not by width.
        context: tokens of a request (``--max-model-len``); the model's own limit by default.
        max_num_seqs: requests that a step takes in.
        max_num_batched_tokens: tokens that a step takes in.
        utilization: share of the GPU's memory that vLLM may take (``--gpu-memory-utilization``).
        kv_cache: number format of the KV cache.
        eager: whether CUDA graphs are switched off (``--enforce-eager``).
        version: release of vLLM, such as ``0.19.0``; the one that shipfit serves with by default.
    """

    tensor: int = 1
    pipeline: int = 1
    expert_parallel: bool = False
    context: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    utilization: float | None = None
    kv_cache: KvFormat = "auto"
    eager: bool = False
    version: str | None = None

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor * self.pipeline
