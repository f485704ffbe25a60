"""Models whose layers differ in heads, windows or networks: Llama 4, Nemotron NAS, MiMo V2, Step 3.5.

vllm-project/vllm, vllm/model_executor/models: llama4.py, nemotron_nas.py, mimo_v2.py, step3p5.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as shown

from shipfit.models.architectures.decoder import Sparse, experts, sparse_layers
from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.parts import Attention, attention, feed_forward, split_layers
from shipfit.models.architectures.windows import KINDS
from shipfit.models.facts import CacheKind, Split

_NORMS = ("input_layernorm", "post_attention_layernorm")
_LLAMA4_FEED = ("feed_forward.gate_proj", "feed_forward.up_proj", "feed_forward.down_proj")
_LLAMA4_EXPERTS = (
    "feed_forward.experts.gate_up_proj",
    "feed_forward.experts.gate_up_proj",
    "feed_forward.experts.down_proj",
)
_LLAMA4_SHARED = (
    "feed_forward.shared_expert.gate_proj",
    "feed_forward.shared_expert.up_proj",
    "feed_forward.shared_expert.down_proj",
)
_STEP_EXPERTS = ("moe.gate_proj", "moe.up_proj", "moe.down_proj")
_STEP_SHARED = ("share_expert.gate_proj", "share_expert.up_proj", "share_expert.down_proj")


def llama4(draft: Draft) -> None:
    """Llama 4: most layers look back within a chunk, every nth all the way; every nth has experts."""
    fields = draft.fields
    draft.ends()
    width, bias = draft.head_width, fields.flag("attention_bias")
    spec = Attention(draft.heads, draft.kv_heads, width, width, qkv_bias=bias, out_bias=bias)
    attention(draft, draft.every, spec)
    draft.norms(_NORMS, draft.every)
    full, chunked = _chunked(draft)
    draft.cache(CacheKind.FULL, full)
    draft.cache(CacheKind.CHUNKED, chunked, window=fields.number("attention_chunk_size"))
    step = fields.number("interleave_moe_layer_step")
    sparse, dense = split_layers(draft.layers, {n for n in draft.every if (n + 1) % step == 0})
    if dense:
        feed_forward(draft, dense, fields.number("intermediate_size_mlp"), _LLAMA4_FEED)
    experts(
        draft,
        sparse,
        Sparse(
            "num_local_experts",
            "intermediate_size",
            router="feed_forward.router",
            modules=_LLAMA4_EXPERTS,
            shared="intermediate_size",
            shared_modules=_LLAMA4_SHARED,
        ),
    )


def _chunked(draft: Draft) -> tuple[Layers, Layers]:
    """The layers without positions, which look back all the way, and the others."""
    fields = draft.fields
    listed = fields.raw("no_rope_layers")
    if isinstance(listed, list) and listed:
        ones = fields.numbers("no_rope_layers", draft.layers)
        return split_layers(draft.layers, {n for n, one in enumerate(ones) if not one})
    every = fields.number("no_rope_layer_interval")
    return split_layers(draft.layers, {n for n in draft.every if (n + 1) % every == 0})


def nemotron_nas(draft: Draft) -> None:
    """Nemotron's pruned Llamas: each layer has its own KV heads and inner width, or neither."""
    fields = draft.fields
    draft.ends()
    blocks = fields.raw("block_configs")
    if not isinstance(blocks, list):
        fields.refuse("block_configs", "is missing")
    fields.same_length("block_configs", blocks, draft.layers)
    by_heads: dict[int, list[int]] = {}
    by_width: dict[int, list[int]] = {}
    for layer, each in enumerate(blocks):
        block = Fields(each if isinstance(each, Mapping) else {}, fields.source, f"block_configs.{layer}.")
        attending, network = block.section("attention"), block.section("ffn")
        _plain(attending)
        _plain(network)
        if not attending.flag("no_op"):
            by_heads.setdefault(_kv_heads(draft, attending), []).append(layer)
        if not network.flag("no_op"):
            by_width.setdefault(_inner(draft, network), []).append(layer)
    width = draft.head_width
    for kv_heads, layers in by_heads.items():
        at = tuple(layers)
        attention(draft, at, Attention(draft.heads, kv_heads, width, width))
        draft.norms(_NORMS[:1], at)
        draft.cache(CacheKind.FULL, at, kv_heads=kv_heads)
    for inner, layers in by_width.items():
        feed_forward(draft, tuple(layers), inner)
        draft.norms(_NORMS[1:], tuple(layers))
    draft.kv_heads = max(by_heads, default=draft.kv_heads)


def _plain(section: Fields) -> None:
    """Refuses what the engine does not serve either: a linear layer in place of a block."""
    if section.flag("replace_with_linear"):
        section.refuse("replace_with_linear", "is true, which no engine serves")


def _kv_heads(draft: Draft, section: Fields) -> int:
    group = section.number("n_heads_in_group")
    if draft.heads % group:
        section.refuse("n_heads_in_group", f"is {group}, which does not divide the {draft.heads} heads")
    return draft.heads // group


def _inner(draft: Draft, section: Fields) -> int:
    """The inner width: two thirds of a multiple of the outer, up to the next 256."""
    multiple = section.share("ffn_mult")
    if multiple is None:
        return section.number("intermediate_size")
    return -(-int(2 * multiple * draft.hidden / 3) // 256) * 256


def mimo_v2(draft: Draft) -> None:
    """MiMo V2: values are narrower than keys, and windowed layers have more KV heads, and sinks."""
    fields = draft.fields
    draft.ends()
    ones = fields.numbers("hybrid_layer_pattern", draft.layers)
    sliding, full = split_layers(draft.layers, {n for n, one in enumerate(ones) if one})
    for at, prefix, kind in ((full, "", CacheKind.FULL), (sliding, "swa_", CacheKind.SLIDING)):
        if not at:
            continue
        heads, kv_heads = (
            fields.number(f"{prefix}num_attention_heads"),
            fields.number(f"{prefix}num_key_value_heads"),
        )
        key = fields.number(f"{prefix}head_dim")
        value = fields.number(f"{prefix}v_head_dim", default=key)
        if heads % kv_heads:
            fields.refuse(
                f"{prefix}num_key_value_heads", f"is {kv_heads}, which does not divide the {heads} heads"
            )
        attention(draft, at, Attention(heads, kv_heads, key, value, qkv_bias=fields.flag("attention_bias")))
        if prefix and fields.flag("add_swa_attention_sink_bias"):
            sinks = ("self_attn.attention_sink_bias",)
            draft.vector("attention.sinks", heads, sinks, at, split=Split.OUTPUTS)
        window = fields.number("sliding_window_size", "sliding_window") if prefix else None
        draft.cache(kind, at, heads=heads, kv_heads=kv_heads, widths=(key, value), window=window)
    draft.norms(_NORMS, draft.every)
    sparse, dense = sparse_layers(fields, draft.layers)
    if dense:
        feed_forward(draft, dense, fields.number("intermediate_size"))
    if sparse:
        correction = "mlp.gate.e_score_correction_bias"
        experts(draft, sparse, Sparse("n_routed_experts", correction=correction, router_bytes=4))


def step3p5(draft: Draft) -> None:
    """Step 3.5: windowed layers have more query heads; every head has a gate."""
    fields = draft.fields
    draft.ends()
    kinds = fields.texts("layer_types", draft.layers, KINDS)
    if kinds is None:
        fields.refuse("layer_types", "is missing")
    sliding, full = split_layers(draft.layers, {n for n, kind in enumerate(kinds) if kind == KINDS[1]})
    other = fields.section("attention_other_setting")
    for at, place, kind in ((full, fields, CacheKind.FULL), (sliding, other, CacheKind.SLIDING)):
        if at:
            window = fields.number("sliding_window") if kind is CacheKind.SLIDING else None
            heads = place.number("num_attention_heads", default=draft.heads)
            kv_heads = place.number("num_attention_groups", "num_key_value_heads", default=draft.kv_heads)
            width = draft.head_width
            attention(draft, at, Attention(heads, kv_heads, width, width, norms="width"))
            if fields.flag("use_head_wise_attn_gate"):
                gate = ("self_attn.g_proj",)
                draft.matrix(
                    "attention.gate", (heads, draft.hidden), Split.OUTPUTS, gate, at, quantized=False
                )
            draft.cache(kind, at, heads=heads, kv_heads=kv_heads, window=window)
    draft.norms(_NORMS, draft.every)
    sparse, dense = _step_layers(draft)
    feed_forward(draft, dense, fields.number("intermediate_size"))
    count = "moe_num_experts" if fields.has("moe_num_experts") else "num_experts"
    chosen = "moe_top_k" if fields.has("moe_top_k") else "num_experts_per_tok"
    experts(
        draft,
        sparse,
        Sparse(
            count,
            chosen=chosen,
            router="moe.gate",
            modules=_STEP_EXPERTS,
            correction="moe.router_bias",
            shared="share_expert_dim",
            shared_modules=_STEP_SHARED,
            router_bytes=4,
        ),
    )


def _step_layers(draft: Draft) -> tuple[Layers, Layers]:
    """The layers with experts, which Step lists in a text, and the others."""
    fields = draft.fields
    listed = fields.raw("moe_layers_enum")
    if listed is None:
        return sparse_layers(fields, draft.layers)
    if not isinstance(listed, str) or not all(part.strip().isdigit() for part in listed.split(",")):
        fields.refuse("moe_layers_enum", f"is {shown(listed)}, not numbers with commas between them")
    return split_layers(draft.layers, {int(part) for part in listed.split(",")})
