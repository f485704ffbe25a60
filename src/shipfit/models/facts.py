"""The facts of a model that sizing stands on: its dimensions, and every kind of weight matrix and cache it has."""

from __future__ import annotations

import math
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
class Format:
    """How a number format or a quantization lays a matrix out in memory.

    Attributes:
        bits: bits of a stored weight; a fraction where blocks carry scales of their own (GGUF).
        group: weights of a row that share a scale: 0 none or one for the matrix, -1 the whole row.
        scale_bytes: bytes of a scale.
        zero_bits: bits of a zero point a group (asymmetric formats).
        block_rows: rows that share a scale too (FP8 in blocks of 128 x 128); 1 for all others.
        index_bytes: bytes for every input (act order stores which group it is of).
    """

    bits: float
    group: int = 0
    scale_bytes: float = 0
    zero_bits: int = 0
    block_rows: int = 1
    index_bytes: int = 0

    def matrix_bytes(self, rows: float, columns: float) -> float:
        """Bytes of a matrix with its scales and zero points.

        Args:
            rows: outputs; a fraction where tensor parallelism splits unevenly.
            columns: inputs; groups run along them, and the last may be shorter.
        """
        stored = rows * columns * self.bits / 8 + columns * self.index_bytes
        if self.group == 0:
            return stored + self.scale_bytes
        groups = 1 if self.group < 0 else math.ceil(columns / self.group)
        return stored + math.ceil(rows / self.block_rows) * groups * (self.scale_bytes + self.zero_bits / 8)


@dataclass(frozen=True)
class Weight:
    """A kind of weight matrix.

    Attributes:
        name: what it is, such as ``attention.query``.
        rows: outputs of one matrix.
        columns: inputs of one matrix; 1 for a vector (norm, bias).
        split: how tensor parallelism divides it.
        layers: the decoder layers (counted from 0) that have it; empty for what lies outside of the layers.
        each: how many such matrices each of those layers has (or the model, outside of layers).
        active: how many of ``each`` one token passes through (fewer than all only for experts).
        quantized: whether quantization schemes convert it (they leave embeddings, heads, norms and routers).
        looked_up: whether a token only reads one row of it (an embedding that is not also the output head), or
            none at all (a tower for images).
        wide_bytes: bytes of a number where it is not quantized; 4 for the few that engines keep in 32 bits.
        modules: its names in a checkpoint, inside the layer, such as ``self_attn.q_proj``; ``*`` for an expert.
        fused: what the engine makes one matrix of (``qkv``, ``gate_up``): members of the same layers; None: alone.
        kv_heads: where it is split by KV heads, how many it is of; None: as many as the model has.
        absorbed: whether the engine keeps a 16-bit copy beside it where it is quantized (latent attention's
            up-projection, which is multiplied into queries and outputs).
        format: how the checkpoint at hand stores it; None where it is not quantized there.
        stored: bytes of all of them from the checkpoint's headers; None where those were not read.
    """

    name: str
    rows: int
    columns: int
    split: Split
    layers: tuple[int, ...] = ()
    each: int = 1
    active: int | None = None
    quantized: bool = False
    looked_up: bool = False
    wide_bytes: int = 2
    modules: tuple[str, ...] = ()
    fused: str | None = None
    kv_heads: int | None = None
    absorbed: bool = False
    format: Format | None = None
    stored: int | None = None

    @property
    def count(self) -> int:
        """How many such matrices the model has."""
        return self.each * (len(self.layers) or 1)

    @property
    def per_token(self) -> int:
        """How many of them one token passes through."""
        return (self.each if self.active is None else self.active) * (len(self.layers) or 1)

    @property
    def parameters(self) -> int:
        """Parameters of all of them."""
        return self.rows * self.columns * self.count


class CacheKind(StrEnum):
    """What a layer keeps of the tokens before."""

    FULL = "full"
    """Keys and values of every token."""
    SLIDING = "sliding"
    """Keys and values of the last ``window`` tokens."""
    CHUNKED = "chunked"
    """Keys and values of the current chunk of ``window`` tokens (Llama 4)."""
    LATENT = "latent"
    """One compressed vector a token for all heads, the same on every GPU (multi-head latent attention)."""
    STATE = "state"
    """A state of fixed size, whatever the context (Mamba, linear attention)."""


@dataclass(frozen=True)
class State:
    """A part of a state: so many numbers, divided between the GPUs of tensor parallelism.

    Attributes:
        numbers: of the whole layer.
        number_bytes: bytes of each.
    """

    numbers: int
    number_bytes: int


@dataclass(frozen=True)
class Cache:
    """What the layers of one kind keep of a request, and what attention computes there.

    Attributes:
        kind: how it grows.
        layers: the decoder layers (counted from 0) of this kind.
        heads: query heads.
        kv_heads: key and value heads; 1 where it is latent, 0 for a state.
        key_width: numbers of one head's key; of the compressed vector where it is latent.
        value_width: numbers of one head's value; 0 where it is latent (values are read out of the same vector).
        window: tokens kept, where not all are.
        index_bytes: bytes a token beside keys and values, whatever the cache's format (a sparse attention's index).
        states: the parts of a state; with full attention, none.
        shared_layers: of ``layers``, those that read an earlier layer's cache and keep none (cross-layer sharing).
    """

    kind: CacheKind
    layers: tuple[int, ...]
    heads: int = 0
    kv_heads: int = 0
    key_width: int = 0
    value_width: int = 0
    window: int | None = None
    index_bytes: int = 0
    states: tuple[State, ...] = ()
    shared_layers: tuple[int, ...] = ()


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
class Rotary:
    """A table of cosines and sines that rotary position embeddings are read from, on every GPU in full.

    Attributes:
        positions: its rows.
        width: numbers of a row.
    """

    positions: int
    width: int


@dataclass(frozen=True)
class Quantization:
    """What a checkpoint's ``quantization_config`` says.

    Attributes:
        method: its ``quant_method``, such as ``compressed-tensors`` or ``fp8``.
        precision: shipfit's name for it; None where it has none.
        group: weights that share a scale, as in ``Format``.
        symmetric: whether there are no zero points.
        act_order: whether inputs were reordered by activation (``desc_act``).
        kv_cache: the format that it asks for the KV cache, ``fp8``; None where it leaves that to the engine.
    """

    method: str
    precision: str | None
    group: int = 0
    symmetric: bool = True
    act_order: bool = False
    kv_cache: str | None = None


@dataclass(frozen=True)
class ModelFacts:
    """A model as its ``config.json`` describes it.

    Attributes:
        name: as the user named it.
        source: where the facts were read.
        architecture: the class in ``architectures``, such as ``LlamaForCausalLM``.
        model_type: as ``config.json`` has it, such as ``llama``; empty where it has none.
        layers: decoder layers.
        hidden: width of the residual stream.
        heads: query heads.
        kv_heads: key and value heads.
        vocabulary: tokens the model knows.
        tied: whether the output head is the embedding.
        max_position_embeddings: largest context in tokens.
        dtype: ``bfloat16``, ``float16`` or ``float32``, as the checkpoint is stored.
        weights: every kind of weight matrix.
        caches: what each kind of layer keeps of a request.
        experts: the mixture of experts, if any.
        quantization: how the checkpoint is quantized, if it is.
        rotary: the tables of its rotary position embeddings, each there once for all layers.
        multimodal: whether it takes images or sound too; sizing counts their towers, not their tokens.
        checked: whether the facts were read, or at least confirmed by what was measured; ``source`` says so if not.
    """

    name: str
    source: str
    architecture: str
    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    max_position_embeddings: int
    dtype: str
    weights: tuple[Weight, ...]
    caches: tuple[Cache, ...]
    experts: Experts | None = None
    quantization: Quantization | None = None
    rotary: tuple[Rotary, ...] = ()
    multimodal: bool = False
    checked: bool = True

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

    @property
    def stored_read(self) -> bool:
        """Whether the checkpoint's safetensors headers were read, so that its bytes are exact."""
        return any(weight.stored is not None for weight in self.weights)
