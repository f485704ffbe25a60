"""Multi-head latent attention: DeepSeek V2 and V3, Kimi, GLM 5, and their sparse variants.

vllm-project/vllm, vllm/model_executor/models/deepseek_v2.py: the projections to and from the latent vector are on every
GPU (``DeepSeekV2FusedQkvAProjLinear``, ``Indexer``), the heads are divided; the KV cache is one vector a token.
"""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.models.architectures.decoder import Sparse, experts, sparse_layers
from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.parts import feed_forward
from shipfit.models.facts import CacheKind, Split

_INDEX_BLOCK = 128
"""Numbers of an index key that share a scale of 4 bytes (deepseek_v2.py, Indexer)."""


@dataclass(frozen=True)
class Latent:
    """What a latent attention is wide.

    Attributes:
        query_rank: width of the query's latent vector; 0: queries are made directly.
        rank: width of the latent vector of keys and values.
        rope: numbers of a head's key that carry the position; shared by all heads.
        nope: numbers of a head's key that do not.
        value: numbers of a head's value.
    """

    query_rank: int
    rank: int
    rope: int
    nope: int
    value: int


def decode(draft: Draft) -> None:
    """Adds all weights and caches of a model whose layers all have latent attention."""
    draft.ends()
    spec = latent(draft)
    attention(draft, draft.every, spec)
    draft.norms(("input_layernorm", "post_attention_layernorm"), draft.every)
    indexed = _indexed_layers(draft)
    _indexer(draft, indexed, spec)
    for at, index_bytes in ((indexed, _index_bytes(draft)), (_others(draft.every, indexed), 0)):
        cache(draft, at, spec, index_bytes)
    networks(draft, draft.every)


def latent(draft: Draft) -> Latent:
    """The widths of a model's latent attention."""
    fields = draft.fields
    return Latent(
        fields.number("q_lora_rank", default=0, zero=True),
        fields.number("kv_lora_rank"),
        fields.number("qk_rope_head_dim"),
        fields.number("qk_nope_head_dim"),
        fields.number("v_head_dim"),
    )


def attention(draft: Draft, at: Layers, spec: Latent) -> None:
    """Adds the weights of latent attention to layers."""
    hidden, heads, key = draft.hidden, draft.heads, spec.nope + spec.rope
    queries = heads * key
    if spec.query_rank:
        draft.matrix(
            "attention.query_down",
            (spec.query_rank, hidden),
            Split.NONE,
            ("self_attn.q_a_proj",),
            at,
            fused="qkv_a",
        )
        draft.vector("attention.query_norm", spec.query_rank, ("self_attn.q_a_layernorm",), at)
        draft.matrix(
            "attention.query_up", (queries, spec.query_rank), Split.OUTPUTS, ("self_attn.q_b_proj",), at
        )
    else:
        draft.matrix("attention.query", (queries, hidden), Split.OUTPUTS, ("self_attn.q_proj",), at)
    draft.matrix(
        "attention.latent_down",
        (spec.rank + spec.rope, hidden),
        Split.NONE,
        ("self_attn.kv_a_proj_with_mqa",),
        at,
        fused="qkv_a" if spec.query_rank else None,
    )
    draft.vector("attention.latent_norm", spec.rank, ("self_attn.kv_a_layernorm",), at)
    draft.matrix(
        "attention.latent_up",
        (heads * (spec.nope + spec.value), spec.rank),
        Split.OUTPUTS,
        ("self_attn.kv_b_proj",),
        at,
        absorbed=True,
    )
    outputs = (hidden, heads * spec.value)
    draft.matrix("attention.output", outputs, Split.INPUTS, ("self_attn.o_proj",), at)


def cache(draft: Draft, at: Layers, spec: Latent, index_bytes: int = 0) -> None:
    """Adds what layers of latent attention keep: the latent vector and the key's shared part."""
    widths = (spec.rank + spec.rope, 0)
    draft.cache(CacheKind.LATENT, at, kv_heads=1, widths=widths, index_bytes=index_bytes)


def networks(draft: Draft, at: Layers) -> None:
    """Adds the feed-forward networks of DeepSeek's layers: the first dense, the rest experts."""
    fields = draft.fields
    sparse, dense = sparse_layers(fields, draft.layers)
    if not fields.has("n_routed_experts"):
        sparse, dense = (), draft.every
    if dense:
        feed_forward(draft, tuple(n for n in dense if n in at), fields.number("intermediate_size"))
    if sparse:
        correction = "mlp.gate.e_score_correction_bias" if fields.raw("topk_method") == "noaux_tc" else ""
        experts(
            draft,
            tuple(n for n in sparse if n in at),
            Sparse(
                "n_routed_experts",
                correction=correction,
                shared="moe_intermediate_size",
                shared_count="n_shared_experts",
            ),
        )


def _indexed_layers(draft: Draft) -> Layers:
    """The layers with an index of their own (DeepSeek sparse attention); the others use an earlier layer's."""
    fields = draft.fields
    if not fields.has("index_topk"):
        return ()
    kinds = fields.texts("indexer_types", draft.layers, ("full", "shared"))
    if kinds is not None:
        return tuple(n for n, kind in enumerate(kinds) if kind == "full")
    every = fields.number("index_topk_freq", default=1)
    offset = fields.number("index_skip_topk_offset", default=2, zero=True)
    return tuple(n for n in draft.every if max(n - offset + 1, 0) % every == 0)


def _indexer(draft: Draft, at: Layers, spec: Latent) -> None:
    if not at:
        return
    fields = draft.fields
    heads, width = fields.number("index_n_heads"), fields.number("index_head_dim")
    base = "self_attn.indexer"
    shape = (heads * width, spec.query_rank)
    draft.matrix("indexer.query", shape, Split.NONE, (f"{base}.wq_b",), at)
    draft.matrix("indexer.key", (width, draft.hidden), Split.NONE, (f"{base}.wk",), at, quantized=False)
    draft.matrix(
        "indexer.weights", (heads, draft.hidden), Split.NONE, (f"{base}.weights_proj",), at, quantized=False
    )
    norm = f"{base}.k_norm"
    draft.vector("indexer.norm", width, (norm, f"{norm}.bias"), at, wide_bytes=4)


def _index_bytes(draft: Draft) -> int:
    """Bytes a token of an index: a key in 8 bits and its scales."""
    width = draft.fields.number("index_head_dim", default=0, zero=True)
    return width + width // _INDEX_BLOCK * 4


def _others(every: Layers, some: Layers) -> Layers:
    return tuple(n for n in every if n not in set(some))
