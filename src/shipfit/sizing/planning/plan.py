"""The Plan: a document that other commands read, and people too."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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
    usable_gib: float | None = None
    """What the GPU offers to one process (a processor: to one replica); what the parts leave of it is not taken."""


class Term(Section):
    """One part of the memory of a GPU."""

    part: Literal["weights", "activation", "cuda_graph", "non_torch", "kv_cache"]
    """What it belongs to."""
    name: str
    """What it is."""
    gib: float
    """How much."""
    formula: str
    """How that came about, with the figures put in."""
    source: str
    """Where the formula and the figures stand."""


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
    max_request_rate: float | None = None
    """Requests a second, like the workload's, that all replicas together answer within the SLO's limits, on average."""


class Cost(Section):
    """What it costs, by the user's own prices."""

    currency: str
    """Currency of the prices."""
    hour: float
    """All GPUs that are taken or kept free, for an hour."""
    million_output_tokens: float | None = None
    """A million output tokens at the workload's rate; none without a workload."""
    million_tokens: float | None = None
    """A million tokens of prompts and answers together."""


class Quality(Section):
    """How much worse the answers are expected to be than the source model's."""

    loss: str
    """In words and figures."""
    measured: bool
    """Whether the gate measured it on this very artifact; else it is what others found with the precision."""
    source: str
    """Who found it."""


class Rejected(Section):
    """An option that was not chosen."""

    option: str
    """Precision and GPUs."""
    reason: str
    """The first reason against it."""
    precision: str = ""
    """The precision, and the KV cache's where that is not the checkpoint's own."""
    gpu: str | None = None
    """The kind of GPU; none where the reason holds on all."""


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
    """GPUs that share every layer; 1 on a processor."""
    pipeline_parallel: int = 1
    """Groups of such GPUs that each hold some of the layers; a replica has as many GPUs as both multiplied."""
    machines: int = 1
    """Machines that a replica spans, each with as many of its groups."""
    replicas: int
    """How many replicas."""
    spare: int = 0
    """Replicas whose GPUs are kept free for updates."""
    cores: int | None = None
    """On a processor: cores a replica."""
    max_model_len: int
    """Tokens that a request may hold."""
    max_num_seqs: int
    """Requests that a replica takes in at once."""
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    """Number format of the KV cache; `auto` is the checkpoint's own."""
    gpu_memory_utilization: float | None = None
    """Share of a GPU's memory that vLLM may take; none on a processor."""
    kv_cache_gib: int | None = None
    """On a processor: whole GiB set aside for the KV cache."""
    memory: Memory
    """The memory of each GPU."""
    terms: list[Term] = Field(default=[])
    """The same in detail: every part with its formula."""
    speed: PredictedSpeed | None = None
    """The speed of the deployment's workload; none where it states no workload."""
    cost: Cost | None = None
    """What it costs; none where no prices are given."""
    quality: Quality | None = None
    """What the precision costs in quality; none where nothing is known of it."""
    reasons: list[str]
    """Why this."""
    rejected: list[Rejected]
    """Every other option, with the first reason against it."""

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def gpus_each(self) -> int:
        """GPUs of a replica on each machine that it spans."""
        return self.gpus // self.machines
