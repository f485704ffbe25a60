"""The Plan: a document that other commands read, and people too."""

from __future__ import annotations

from typing import Literal

from shipfit.spec.base import Document, Section
from shipfit.spec.precision import Precision


class Memory(Section):
    """The memory of each GPU of a replica."""

    weights_gib: float
    """Weights with their scales."""
    activation_gib: float
    """Peak of a step's intermediate results."""
    cuda_graph_gib: float
    """Captured CUDA graphs."""
    non_torch_gib: float
    """What lies outside of PyTorch; on a processor, vLLM's processes."""
    kv_cache_gib: float
    """The KV cache."""
    kv_cache_tokens: int
    """Tokens that it holds, in requests of the full context."""
    max_concurrency: float
    """Requests of the full context that fit at once, in each replica."""


class PredictedSpeed(Section):
    """What the deployment's workload sees, on average."""

    ttft_ms: float
    """Time to the first token."""
    tpot_ms: float
    """Time per output token after the first."""
    output_tokens_per_s: float
    """Output tokens a second, of all replicas together."""
    overloaded: bool
    """Whether requests arrive faster than they are answered; the times are then those of full replicas."""


class Rejected(Section):
    """An option that was not chosen."""

    option: str
    """Precision and GPUs."""
    reason: str
    """The first reason against it."""


class Plan(Document):
    """What is served on what, why, and what is expected of it."""

    kind: Literal["Plan"] = "Plan"
    """Says that this is a Plan."""
    model: str
    """The source model, as the deployment names it."""
    precision: Precision
    """What it is served in."""
    gpu: str
    """The kind of GPU; `cpu` for this machine's processor."""
    tensor_parallel: int
    """GPUs a replica; 1 on a processor."""
    replicas: int
    """How many replicas."""
    cores: int | None = None
    """On a processor: cores a replica."""
    max_model_len: int
    """Tokens that a request may hold."""
    max_num_seqs: int
    """Requests that a replica takes in at once."""
    gpu_memory_utilization: float | None = None
    """Share of a GPU's memory that vLLM may take; none on a processor."""
    kv_cache_gib: int | None = None
    """On a processor: whole GiB set aside for the KV cache."""
    memory: Memory
    """The memory of each GPU."""
    speed: PredictedSpeed | None = None
    """The speed of the deployment's workload; none where it states no workload."""
    reasons: list[str]
    """Why this."""
    rejected: list[Rejected]
    """Every other option, with the first reason against it."""
