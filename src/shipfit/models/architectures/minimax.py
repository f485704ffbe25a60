"""MiniMax M3: most layers choose blocks of the past by an index of small keys. MiniMax M1: most are linear.

vllm-project/vllm, vllm/models/minimax_m3 (nvidia/model.py, common/indexer.py); of release 0.19,
vllm/model_executor/models/minimax_text_01.py and vllm/model_executor/layers/mamba/linear_attn.py.
"""

from __future__ import annotations

from shipfit.models.architectures.decoder import Sparse, experts, sparse_layers
from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.parts import Attention, attention, feed_forward, split_layers
from shipfit.models.facts import CacheKind, Split, State

_NORMS = ("input_layernorm", "post_attention_layernorm")
_BASE = "block_sparse_moe"
_EXPERTS = (f"{_BASE}.experts.*.w1", f"{_BASE}.experts.*.w3", f"{_BASE}.experts.*.w2")
_SHARED = (
    f"{_BASE}.shared_experts.gate_proj",
    f"{_BASE}.shared_experts.up_proj",
    f"{_BASE}.shared_experts.down_proj",
)


def minimax_m3(draft: Draft) -> None:
    """Adds all weights and caches of such a model."""
    fields, width = draft.fields, draft.head_width
    draft.ends()
    attention(draft, draft.every, Attention(draft.heads, draft.kv_heads, width, width, norms="width"))
    draft.norms(_NORMS, draft.every)
    section = fields.section("sparse_attention_config")
    frequency = section.raw("sparse_attention_freq")
    ones = section.numbers("sparse_attention_freq", draft.layers) if frequency is not None else ()
    indexed, plain = split_layers(draft.layers, {n for n, one in enumerate(ones) if one})
    draft.cache(CacheKind.FULL, plain)
    if indexed:
        index = section.number("sparse_index_dim")
        _index(draft, indexed, section.number("sparse_num_index_heads"), index)
        draft.cache(CacheKind.FULL, indexed, index_bytes=2 * index)
    sparse, dense = sparse_layers(fields, draft.layers)
    if dense:
        feed_forward(draft, dense, fields.number("dense_intermediate_size"))
    spec = Sparse(
        "num_local_experts",
        "intermediate_size",
        router=f"{_BASE}.gate",
        modules=_EXPERTS,
        correction=f"{_BASE}.e_score_correction_bias",
        correction_rule="use_routing_bias",
        shared="intermediate_size",
        shared_count="n_shared_experts",
        shared_modules=_SHARED,
        router_bytes=4,
    )
    experts(draft, sparse, spec)


def _index(draft: Draft, at: Layers, heads: int, width: int) -> None:
    """Adds the index: its queries lie split like keys and values, its one key is on every GPU."""
    shape = (heads * width, draft.hidden)
    query, key = ("self_attn.index_q_proj",), ("self_attn.index_k_proj",)
    draft.matrix("indexer.query", shape, Split.KV_HEADS, query, at, fused="qkv", kv_heads=heads)
    draft.matrix("indexer.key", (width, draft.hidden), Split.NONE, key, at, fused="qkv")
    norms = ("self_attn.index_q_norm", "self_attn.index_k_norm")
    draft.vector("indexer.norm", width, norms, at)


def minimax_m1(draft: Draft) -> None:
    """MiniMax M1 and Text 01: every eighth layer attention, the others linear attention with a state."""
    width, hidden = draft.head_width, draft.hidden
    draft.ends()
    full, linear = _linear_layers(draft)
    attention(draft, full, Attention(draft.heads, draft.kv_heads, width, width))
    draft.cache(CacheKind.FULL, full)
    inner = draft.heads * width
    draft.matrix("linear.in", (3 * inner, hidden), Split.OUTPUTS, ("self_attn.qkv_proj",), linear)
    draft.matrix("linear.gate", (inner, hidden), Split.OUTPUTS, ("self_attn.output_gate",), linear)
    draft.matrix("linear.out", (hidden, inner), Split.INPUTS, ("self_attn.out_proj",), linear)
    draft.vector("linear.norm", inner, ("self_attn.norm",), linear, split=Split.OUTPUTS)
    draft.state(linear, State(inner * width, 2))
    draft.norms(_NORMS, draft.every)
    spec = Sparse("num_local_experts", "intermediate_size", router=f"{_BASE}.gate", modules=_EXPERTS)
    experts(draft, draft.every, spec)


def _linear_layers(draft: Draft) -> tuple[Layers, Layers]:
    """The layers of attention, and those of linear attention."""
    fields = draft.fields
    kinds = fields.texts("layer_types", draft.layers, ("full_attention", "linear_attention"))
    if kinds is not None:
        return split_layers(draft.layers, {n for n, kind in enumerate(kinds) if kind == "full_attention"})
    ones = fields.numbers("attn_type_list", draft.layers)
    return split_layers(draft.layers, {n for n, one in enumerate(ones) if one})
