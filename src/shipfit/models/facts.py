"""The facts of a model that sizing stands on: its dimensions, and every kind of weight matrix it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """How tensor parallelism divides a weight between GPUs (Megatron-LM, arXiv:1909.08053, section 3)."""

    OUTPUTS = "outputs"
    """By rows: each GPU computes a part of the outputs (query, gate, up; vocabulary for embeddings)."""
    KV_HEADS = "kv-heads"
    """By KV head; with more GPUs than KV heads, a head lies on several."""
    INPUTS = "inputs"
    """By columns: each GPU takes a part of the inputs, and the results are added up (attention out, down)."""
    NONE = "none"
    """On every GPU in full (norms, routers)."""


@dataclass(frozen=True)
class Weight:
    """A kind of weight matrix.

    Attributes:
        name: what it is, such as ``attention.query``.
        rows: outputs of one matrix.
        columns: inputs of one matrix; 1 for a vector (norm, bias).
        count: how many such matrices the model has.
        split: how tensor parallelism divides it.
        quantized: whether quantization schemes convert it (they leave embeddings, heads, norms and routers).
        per_token: how many of ``count`` one token passes through (fewer than all only for experts).
        looked_up: whether a token only reads one row of it (an embedding that is not also the output head).
    """

    name: str
    rows: int
    columns: int
    count: int
    split: Split
    quantized: bool
    per_token: int
    looked_up: bool = False

    @property
    def parameters(self) -> int:
        """Parameters of all of them."""
        return self.rows * self.columns * self.count


@dataclass(frozen=True)
class Experts:
    """The mixture of experts of a model that has one.

    Attributes:
        count: routed experts of a layer.
        per_token: how many of them a token passes through.
        intermediate: inner width of one.
    """

    count: int
    per_token: int
    intermediate: int


@dataclass(frozen=True)
class Quantization:
    """What a checkpoint's ``quantization_config`` says.

    Attributes:
        method: its ``quant_method``, such as ``compressed-tensors`` or ``fp8``.
        precision: shipfit's name for it; None where it has none.
    """

    method: str
    precision: str | None


@dataclass(frozen=True)
class ModelFacts:
    """A model as its ``config.json`` describes it.

    Attributes:
        name: as the user named it.
        source: where the facts were read.
        architecture: the class in ``architectures``, such as ``LlamaForCausalLM``.
        layers: decoder layers.
        hidden: width of the residual stream.
        heads: query heads.
        kv_heads: key and value heads.
        head_dim: width of a head.
        vocabulary: tokens the model knows.
        tied: whether the output head is the embedding.
        max_position_embeddings: largest context in tokens.
        dtype: ``bfloat16``, ``float16`` or ``float32``, as the checkpoint is stored.
        weights: every kind of weight matrix.
        sliding_window: tokens a windowed layer looks back, where there are such layers.
        sliding_layers: how many layers are windowed.
        experts: the mixture of experts, if any.
        quantization: how the checkpoint is quantized, if it is.
        stored_bytes: bytes of the checkpoint's tensors from its safetensors headers; None where not read.
    """

    name: str
    source: str
    architecture: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    max_position_embeddings: int
    dtype: str
    weights: tuple[Weight, ...]
    sliding_window: int | None = None
    sliding_layers: int = 0
    experts: Experts | None = None
    quantization: Quantization | None = None
    stored_bytes: int | None = None

    @property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        return sum(weight.parameters for weight in self.weights)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token is multiplied with: without looked-up embeddings, and only its own experts."""
        return sum(
            w.rows * w.columns * w.per_token for w in self.weights if not w.looked_up and w.columns > 1
        )
