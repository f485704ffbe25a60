"""Models from before one layout became usual: Falcon, ChatGLM, DBRX, Phi-3 small.

vllm-project/vllm, vllm/model_executor/models: falcon.py, chatglm.py, dbrx.py; of release 0.8.5,
phi3_small.py.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.parts import (
    Attention,
    Mixture,
    attention,
    feed_forward,
    mixture,
    one_tensor,
)
from shipfit.models.facts import CacheKind


def falcon(draft: Draft) -> None:
    """Falcon: one KV head, or groups of them in the newer layout; attention and network side by side."""
    fields = draft.fields
    newer = fields.flag("new_decoder_architecture")
    if newer:
        draft.kv_heads = fields.number("num_kv_heads", default=draft.heads)
    elif fields.flag("multi_query", default=True):
        draft.kv_heads = 1
    draft.ends(embedding="transformer.word_embeddings", norm="transformer.ln_f", norm_bias=True)
    bias, width = fields.flag("bias"), draft.head_width
    modules = one_tensor("self_attention.query_key_value", "self_attention.dense")
    attention(draft, draft.every, Attention(draft.heads, draft.kv_heads, width, width, modules, bias, bias))
    inner = fields.number("ffn_hidden_size", default=4 * draft.hidden)
    feed_forward(draft, draft.every, inner, ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"), bias=bias)
    norms: tuple[str, ...] = ("input_layernorm",)
    if newer and fields.number("num_ln_in_parallel_attn", default=2) == 2:
        norms = ("ln_attn", "ln_mlp")
    elif not fields.flag("parallel_attn", default=True):
        norms = ("input_layernorm", "post_attention_layernorm")
    draft.norms(norms, draft.every, bias=True)
    draft.cache(CacheKind.FULL, draft.every)


def chatglm(draft: Draft) -> None:
    """ChatGLM 2 and 3, and GLM-4 in their layout."""
    fields = draft.fields
    if fields.flag("multi_query_attention"):
        draft.kv_heads = fields.number("multi_query_group_num")
    width = fields.number("kv_channels", default=draft.head_width)
    draft.head_width = width
    draft.ends(
        embedding="transformer.embedding.word_embeddings",
        head="transformer.output_layer",
        norm="transformer.encoder.final_layernorm" if fields.flag("post_layer_norm", default=True) else "",
    )
    linear = fields.flag("add_bias_linear")
    bias = linear or fields.flag("add_qkv_bias")
    modules = one_tensor("self_attention.query_key_value", "self_attention.dense")
    attention(draft, draft.every, Attention(draft.heads, draft.kv_heads, width, width, modules, bias, linear))
    inner = ("mlp.dense_h_to_4h", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
    feed_forward(draft, draft.every, fields.number("ffn_hidden_size"), inner, bias=linear)
    draft.norms(("input_layernorm", "post_attention_layernorm"), draft.every)
    draft.cache(CacheKind.FULL, draft.every)


def dbrx(draft: Draft) -> None:
    """DBRX: what is attention's and the experts' lies in sections of its own."""
    fields = draft.fields
    attending, feeding = fields.section("attn_config"), fields.section("ffn_config")
    draft.kv_heads = attending.number("kv_n_heads", default=1)
    draft.ends(embedding="transformer.wte", norm="transformer.norm_f")
    width, base = draft.head_width, "norm_attn_norm"
    modules = one_tensor(f"{base}.attn.Wqkv", f"{base}.attn.out_proj")
    attention(draft, draft.every, Attention(draft.heads, draft.kv_heads, width, width, modules))
    draft.norms((f"{base}.norm_1", f"{base}.norm_2"), draft.every)
    count, per_token = feeding.number("moe_num_experts"), feeding.number("moe_top_k", default=1)
    if per_token > count:
        feeding.refuse("moe_top_k", f"is {per_token}, of {count} experts")
    experts = ("ffn.experts.mlp.w1", "ffn.experts.mlp.v1", "ffn.experts.mlp.w2")
    inner = feeding.number("ffn_hidden_size")
    mixture(draft, draft.every, Mixture(count, per_token, inner, "ffn.router.layer", experts))
    draft.cache(CacheKind.FULL, draft.every)


def phi3_small(draft: Draft) -> None:
    """Phi-3 small: biases everywhere; the engine keeps all tokens also where attention is in blocks."""
    fields = draft.fields
    draft.ends(norm="model.final_layernorm", norm_bias=True)
    width, modules = draft.head_width, one_tensor("self_attn.query_key_value", "self_attn.dense")
    attention(draft, draft.every, Attention(draft.heads, draft.kv_heads, width, width, modules, True, True))
    inner = ("mlp.up_proj", "mlp.up_proj", "mlp.down_proj")
    feed_forward(draft, draft.every, fields.number("ff_intermediate_size"), inner, bias=True)
    draft.norms(("input_layernorm", "post_attention_layernorm"), draft.every, bias=True)
    draft.cache(CacheKind.FULL, draft.every)
