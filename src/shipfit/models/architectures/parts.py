"""Attention, feed-forward networks and mixtures of experts, as most architectures have them.

How each is split: vllm-project/vllm, vllm/model_executor/layers/linear.py (QKVParallelLinear,
MergedColumnParallelLinear, RowParallelLinear, ReplicatedLinear) and fused_moe/layer.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.facts import Experts, Split

QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
"""What most checkpoints call query, key, value and output."""
GATED = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
"""What most checkpoints call a gated feed-forward network's matrices."""
EXPERTS = ("mlp.experts.*.gate_proj", "mlp.experts.*.up_proj", "mlp.experts.*.down_proj")
"""What most checkpoints call an expert's."""

HeadNorms = Literal["no", "width", "all"]
"""How queries and keys are normed: not; with a vector of one head's width; with numbers for all heads, which lie
split between GPUs."""


def one_tensor(module: str, output: str) -> tuple[str, str, str, str]:
    """The names where query, key and value lie in one tensor."""
    return (module, module, module, output)


@dataclass(frozen=True)
class Attention:
    """Attention with keys and values of its own.

    Attributes:
        heads: query heads.
        kv_heads: key and value heads.
        key_width: numbers of one head's query and key.
        value_width: numbers of one head's value.
        modules: names of query, key, value and output in a checkpoint.
        qkv_bias: whether query, key and value have a bias.
        out_bias: whether the output has one.
        norms: how queries and keys are normed.
        norm_modules: the names of these norms.
        gated: whether the query also makes a gate of the same size (Qwen3-Next).
    """

    heads: int
    kv_heads: int
    key_width: int
    value_width: int
    modules: tuple[str, str, str, str] = QKV
    qkv_bias: bool = False
    out_bias: bool = False
    norms: HeadNorms = "no"
    norm_modules: tuple[str, ...] = ("self_attn.q_norm", "self_attn.k_norm")
    gated: bool = False


def attention(draft: Draft, at: Layers, spec: Attention) -> None:
    """Adds the weights of attention to layers."""
    query, key, value, output = spec.modules
    hidden, heads, kv_heads = draft.hidden, spec.heads, spec.kv_heads
    queries = heads * spec.key_width * (2 if spec.gated else 1)
    draft.matrix(
        "attention.query", (queries, hidden), Split.OUTPUTS, (query,), at, bias=spec.qkv_bias, fused="qkv"
    )
    if spec.key_width == spec.value_width:
        pairs = [("key_value", spec.key_width, tuple(dict.fromkeys((key, value))), 2)]
    else:
        pairs = [("key", spec.key_width, (key,), 1), ("value", spec.value_width, (value,), 1)]
    for name, width, modules, each in pairs:
        draft.matrix(
            f"attention.{name}",
            (kv_heads * width, hidden),
            Split.KV_HEADS,
            modules,
            at,
            each=each,
            bias=spec.qkv_bias,
            fused="qkv",
            kv_heads=kv_heads,
        )
    outputs = (hidden, heads * spec.value_width)
    draft.matrix("attention.output", outputs, Split.INPUTS, (output,), at, bias=spec.out_bias)
    _head_norms(draft, at, spec)


def _head_norms(draft: Draft, at: Layers, spec: Attention) -> None:
    if spec.norms == "no":
        return
    own = spec.norms == "width"
    for module, count, split in zip(
        spec.norm_modules, (spec.heads, spec.kv_heads), (Split.OUTPUTS, Split.KV_HEADS), strict=True
    ):
        width = spec.key_width * (1 if own else count)
        where = Split.NONE if own else split
        kv_heads = spec.kv_heads if where is Split.KV_HEADS else None
        draft.vector("attention.head_norms", width, (module,), at, split=where, kv_heads=kv_heads)


def feed_forward(
    draft: Draft,
    at: Layers,
    width: int,
    modules: tuple[str, ...] = GATED,
    *,
    bias: bool = False,
    name: str = "feed_forward",
    hidden: int | None = None,
) -> None:
    """Adds a feed-forward network: gated by three matrices, plain by two.

    Args:
        draft: where to.
        at: the layers.
        width: inner width.
        modules: names of gate, up and down, or of up and down; the same twice where they lie in one tensor.
        bias: whether all have one.
        name: what it is.
        hidden: outer width; None: the residual stream's.
    """
    *inner, down = modules
    outer = hidden or draft.hidden
    draft.matrix(
        f"{name}.{'gate_up' if len(inner) > 1 else 'up'}",
        (width, outer),
        Split.OUTPUTS,
        tuple(dict.fromkeys(inner)),
        at,
        each=len(inner),
        bias=bias,
        fused=f"{name}.gate_up" if len(inner) > 1 else None,
    )
    draft.matrix(f"{name}.down", (outer, width), Split.INPUTS, (down,), at, bias=bias)


@dataclass(frozen=True)
class Mixture:
    """A mixture of experts.

    Attributes:
        count: routed experts.
        per_token: how many of them a token passes through.
        width: inner width of one.
        router: the router's name in a checkpoint.
        modules: names of one expert's gate, up and down (or up and down), with ``*`` for its number.
        bias: whether the experts have biases.
        router_bias: whether the router has one.
        correction: the name of a number for each expert that balances them, kept in 32 bits; empty: none.
        hidden: outer width of an expert; None: the residual stream's.
        router_bytes: bytes of a router's number.
    """

    count: int
    per_token: int
    width: int
    router: str = "mlp.gate"
    modules: tuple[str, ...] = EXPERTS
    bias: bool = False
    router_bias: bool = False
    correction: str = ""
    hidden: int | None = None
    router_bytes: int = 2


def mixture(draft: Draft, at: Layers, spec: Mixture) -> None:
    """Adds a router and its experts to layers, and tells the draft of them."""
    draft.experts = Experts(spec.count, spec.per_token, spec.width)
    draft.matrix(
        "router",
        (spec.count, draft.hidden),
        Split.NONE,
        (spec.router,),
        at,
        bias=spec.router_bias,
        quantized=False,
        wide_bytes=spec.router_bytes,
    )
    if spec.correction:
        draft.vector("router_correction", spec.count, (spec.correction,), at, wide_bytes=4)
    *inner, down = spec.modules
    outer, sides = spec.hidden or draft.hidden, len(inner)
    draft.matrix(
        f"experts.{'gate_up' if sides > 1 else 'up'}",
        (spec.width, outer),
        Split.OUTPUTS,
        tuple(dict.fromkeys(inner)),
        at,
        each=sides * spec.count,
        active=sides * spec.per_token,
        bias=spec.bias,
        fused="experts.gate_up" if sides > 1 else None,
    )
    draft.matrix(
        "experts.down",
        (outer, spec.width),
        Split.INPUTS,
        (down,),
        at,
        each=spec.count,
        active=spec.per_token,
        bias=spec.bias,
    )


def split_layers(layers: int, chosen: set[int]) -> tuple[Layers, Layers]:
    """The chosen layers, and the others."""
    every = range(layers)
    return tuple(n for n in every if n in chosen), tuple(n for n in every if n not in chosen)
