"""Gemma 4: full layers have heads of another width, and some layers read an earlier one's keys and values.

vllm-project/vllm, vllm/model_executor/models/gemma4.py.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.parts import (
    Attention,
    Mixture,
    attention,
    feed_forward,
    mixture,
    split_layers,
)
from shipfit.models.architectures.windows import KINDS
from shipfit.models.facts import CacheKind, Split

_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
_EXPERT_NORMS = (
    "post_feedforward_layernorm_1",
    "post_feedforward_layernorm_2",
    "pre_feedforward_layernorm_2",
)
_EXPERTS = ("experts.*.gate_proj", "experts.*.up_proj", "experts.*.down_proj")


def gemma4(draft: Draft) -> None:
    """Adds all weights and caches of such a model."""
    fields = draft.fields
    draft.ends()
    own = draft.layers - fields.number("num_kv_shared_layers", default=0, zero=True)
    kinds = fields.texts("layer_types", draft.layers, KINDS)
    if kinds is None:
        fields.refuse("layer_types", "is missing")
    sliding, full = split_layers(draft.layers, {n for n, kind in enumerate(kinds) if kind == KINDS[1]})
    _attention(draft, sliding, own, draft.head_width, draft.kv_heads, CacheKind.SLIDING)
    wide = fields.number("global_head_dim", default=draft.head_width)
    kv_heads = draft.kv_heads
    if fields.flag("attention_k_eq_v"):
        kv_heads = fields.number("num_global_key_value_heads", default=kv_heads)
    _attention(draft, full, own, wide, kv_heads, CacheKind.FULL)
    draft.norms(_NORMS, draft.every)
    draft.vector("layer_scalar", 1, ("layer_scalar",), draft.every)
    _networks(draft, own)
    if fields.number("num_experts", default=0, zero=True):
        _experts(draft)
    _embeddings(draft)


def _attention(draft: Draft, at: Layers, own: int, width: int, kv_heads: int, kind: CacheKind) -> None:
    """Adds attention to layers of a kind; those after the ``own`` first have no keys and values of their own.

    Layers whose values are their keys have both matrices in memory (they are loaded twice).
    """
    fields = draft.fields
    if draft.heads % kv_heads:
        fields.refuse("num_global_key_value_heads", f"is {kv_heads}, of {draft.heads} heads")
    bias = fields.flag("attention_bias")
    mine, others = tuple(n for n in at if n < own), tuple(n for n in at if n >= own)
    spec = Attention(draft.heads, kv_heads, width, width, qkv_bias=bias, out_bias=bias, norms="width")
    attention(draft, mine, spec)
    shape = (draft.heads * width, draft.hidden)
    draft.matrix("attention.query", shape, Split.OUTPUTS, ("self_attn.q_proj",), others, bias=bias)
    draft.matrix("attention.output", shape[::-1], Split.INPUTS, ("self_attn.o_proj",), others, bias=bias)
    draft.vector("attention.head_norms", width, ("self_attn.q_norm",), others)
    window = fields.number("sliding_window") if kind is CacheKind.SLIDING else None
    draft.cache(kind, at, kv_heads=kv_heads, widths=(width, width), window=window, shared=others)


def _networks(draft: Draft, own: int) -> None:
    fields = draft.fields
    width = fields.number("intermediate_size")
    wide = 2 * width if fields.flag("use_double_wide_mlp") else width
    feed_forward(draft, draft.every[:own], width)
    feed_forward(draft, draft.every[own:], wide)


def _experts(draft: Draft) -> None:
    """Adds the experts beside every layer's own network."""
    fields = draft.fields
    count, per_token = fields.number("num_experts"), fields.number("top_k_experts")
    if per_token > count:
        fields.refuse("top_k_experts", f"is {per_token}, of {count} experts")
    width = fields.number("moe_intermediate_size", "expert_intermediate_size")
    mixture(draft, draft.every, Mixture(count, per_token, width, "router.proj", _EXPERTS))
    draft.vector("router_scale", draft.hidden, ("router.scale",), draft.every)
    draft.vector("router_scale", count, ("router.per_expert_scale",), draft.every)
    draft.norms(_EXPERT_NORMS, draft.every)


def _embeddings(draft: Draft) -> None:
    """Adds the embeddings that every layer has of its own, where the model has them."""
    fields = draft.fields
    width = fields.number("hidden_size_per_layer_input", default=0, zero=True)
    if not width:
        return
    rows = fields.number("vocab_size_per_layer_input", default=draft.vocabulary)
    everything = width * draft.layers
    table = "model.embed_tokens_per_layer"
    draft.matrix(
        "layer_embeddings", (rows, everything), Split.OUTPUTS, (table,), None, quantized=False, looked_up=True
    )
    shape = (everything, draft.hidden)
    projection = ("model.per_layer_model_projection",)
    draft.matrix("layer_projection", shape, Split.NONE, projection, None, quantized=False)
    draft.vector("layer_projection_norm", width, ("model.per_layer_projection_norm",), None)
    narrow = (width, draft.hidden)
    draft.matrix("layer_gate", narrow, Split.NONE, ("per_layer_input_gate",), draft.every)
    draft.matrix("layer_up", narrow[::-1], Split.NONE, ("per_layer_projection",), draft.every)
    draft.norms(("post_per_layer_input_norm",), draft.every)
