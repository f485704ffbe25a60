"""Models in the layout of GPT-2, with biases everywhere: GPT-2, StarCoder, GPT-J, BLOOM, OPT.

vllm-project/vllm, vllm/model_executor/models: gpt2.py, gpt_j.py, bloom.py, opt.py; of earlier releases, gpt_bigcode.py.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.parts import Attention, attention, feed_forward, one_tensor
from shipfit.models.facts import CacheKind, Split


def opt(draft: Draft) -> None:
    """OPT: learned positions; small models embed in a narrower stream."""
    fields, hidden = draft.fields, draft.hidden
    narrow = fields.number("word_embed_proj_dim", default=hidden)
    last = fields.flag("do_layer_norm_before", default=True) and not fields.flag("_remove_final_layer_norm")
    base = "model.decoder"
    draft.ends(
        embedding=f"{base}.embed_tokens",
        norm=f"{base}.final_layer_norm" if last else "",
        width=narrow,
        norm_bias=True,
    )
    positions = fields.number("max_position_embeddings") + 2  # two before the first are for padding
    draft.matrix(
        "positions",
        (positions, hidden),
        Split.NONE,
        (f"{base}.embed_positions",),
        None,
        quantized=False,
        looked_up=True,
    )
    if narrow != hidden:
        for name, shape in (("project_in", (hidden, narrow)), ("project_out", (narrow, hidden))):
            draft.matrix(name, shape, Split.NONE, (f"{base}.{name}",), None, quantized=False)
    bias, width = fields.flag("enable_bias", default=True), draft.head_width
    modules = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj")
    attention(draft, draft.every, Attention(draft.heads, draft.heads, width, width, modules, bias, bias))
    inner = fields.number("ffn_dim", default=4 * hidden)
    feed_forward(draft, draft.every, inner, ("fc1", "fc2"), bias=bias)
    draft.norms(("self_attn_layer_norm", "final_layer_norm"), draft.every, bias=True)
    draft.cache(CacheKind.FULL, draft.every)


def gpt2(draft: Draft) -> None:
    """GPT-2: learned positions."""
    fields = draft.fields
    draft.ends(embedding="transformer.wte", norm="transformer.ln_f", norm_bias=True)
    positions = (fields.number("n_positions", "max_position_embeddings"), draft.hidden)
    draft.matrix(
        "positions", positions, Split.NONE, ("transformer.wpe",), None, quantized=False, looked_up=True
    )
    width, modules = draft.head_width, one_tensor("attn.c_attn", "attn.c_proj")
    attention(draft, draft.every, Attention(draft.heads, draft.kv_heads, width, width, modules, True, True))
    inner = fields.number("n_inner", default=4 * draft.hidden)
    feed_forward(draft, draft.every, inner, ("mlp.c_fc", "mlp.c_proj"), bias=True)
    draft.norms(("ln_1", "ln_2"), draft.every, bias=True)
    draft.cache(CacheKind.FULL, draft.every)


def gpt_bigcode(draft: Draft) -> None:
    """StarCoder: GPT-2 with one KV head."""
    if draft.fields.flag("multi_query", default=True):
        draft.kv_heads = 1
    gpt2(draft)


def gpt_j(draft: Draft) -> None:
    """GPT-J: rotary positions; attention and network side by side."""
    fields = draft.fields
    draft.ends(embedding="transformer.wte", norm="transformer.ln_f", norm_bias=True, head_bias=True)
    width = draft.head_width
    modules = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj")
    attention(draft, draft.every, Attention(draft.heads, draft.heads, width, width, modules))
    inner = fields.number("n_inner", default=4 * draft.hidden)
    feed_forward(draft, draft.every, inner, ("mlp.fc_in", "mlp.fc_out"), bias=True)
    draft.norms(("ln_1",), draft.every, bias=True)
    draft.cache(CacheKind.FULL, draft.every)


def bloom(draft: Draft) -> None:
    """BLOOM: positions by distance, without weights; embeddings are normed."""
    base = "transformer"
    draft.ends(embedding=f"{base}.word_embeddings", norm=f"{base}.ln_f", norm_bias=True)
    first = f"{base}.word_embeddings_layernorm"
    draft.vector("embedding_norm", draft.hidden, (first, f"{first}.bias"), None)
    width, modules = draft.head_width, one_tensor("self_attention.query_key_value", "self_attention.dense")
    attention(draft, draft.every, Attention(draft.heads, draft.heads, width, width, modules, True, True))
    inner = 4 * draft.hidden
    feed_forward(draft, draft.every, inner, ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"), bias=True)
    draft.norms(("input_layernorm", "post_attention_layernorm"), draft.every, bias=True)
    draft.cache(CacheKind.FULL, draft.every)
