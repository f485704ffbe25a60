"""Models that mix state-space layers with attention, and those that have nothing else.

vllm-project/vllm, vllm/model_executor/models: nemotron_h.py, jamba.py, falcon_h1.py, granitemoehybrid.py, mamba.py,
mamba2.py, lfm2.py, lfm2_moe.py, and bamba.py of earlier releases.
"""

from __future__ import annotations

from reprlib import repr as shown

from shipfit.models.architectures.decoder import Sparse, experts
from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.mamba import Mamba2, mamba1, mamba2, number_bytes, short_convolution
from shipfit.models.architectures.parts import QKV, Attention, attention, feed_forward, split_layers
from shipfit.models.facts import CacheKind

_JAMBA_FEED = ("feed_forward.gate_proj", "feed_forward.up_proj", "feed_forward.down_proj")
_JAMBA_EXPERTS = (
    "feed_forward.experts.*.gate_proj",
    "feed_forward.experts.*.up_proj",
    "feed_forward.experts.*.down_proj",
)
_LFM2_FEED = ("feed_forward.w1", "feed_forward.w3", "feed_forward.w2")
_LFM2_EXPERTS = ("feed_forward.experts.*.w1", "feed_forward.experts.*.w3", "feed_forward.experts.*.w2")
_GRANITE_EXPERTS = (
    "block_sparse_moe.input_linear",
    "block_sparse_moe.input_linear",
    "block_sparse_moe.output_linear",
)


def jamba(draft: Draft) -> None:
    """Jamba: every nth layer attention, the others Mamba; every nth with experts."""
    fields = draft.fields
    draft.ends(norm="model.final_layernorm")
    attending, mixing = _every(draft, "attn_layer_period", "attn_layer_offset")
    _attend(draft, attending)
    mamba1(draft, mixing, "mamba", normed=True, bias_key="mamba_proj_bias")
    draft.norms(("input_layernorm", "pre_ff_layernorm"), draft.every)
    sparse, dense = _every(draft, "expert_layer_period", "expert_layer_offset")
    if fields.number("num_experts") == 1:
        sparse, dense = (), draft.every
    if sparse:
        spec = Sparse(width="intermediate_size", router="feed_forward.router", modules=_JAMBA_EXPERTS)
        experts(draft, sparse, spec)
    feed_forward(draft, dense, fields.number("intermediate_size"), _JAMBA_FEED)


def falcon_h1(draft: Draft) -> None:
    """Falcon-H1: each layer has attention and Mamba 2 side by side."""
    fields = draft.fields
    draft.ends(norm="model.final_layernorm")
    _attend(draft, draft.every, bias=fields.flag("attention_bias"))
    inner = fields.number("mamba_d_ssm", default=fields.number("mamba_expand", default=2) * draft.hidden)
    _mamba2(draft, draft.every, "mamba", inner, norm=fields.flag("mamba_rms_norm"))
    draft.norms(("input_layernorm", "pre_ff_layernorm"), draft.every)
    width = fields.number("intermediate_size")
    feed_forward(draft, draft.every, width, _JAMBA_FEED, bias=fields.flag("mlp_bias"))


def bamba(draft: Draft) -> None:
    """Bamba: some layers attention, the others Mamba 2."""
    fields = draft.fields
    draft.ends(norm="model.final_layernorm")
    listed = fields.raw("attn_layer_indices") or []
    if not isinstance(listed, list) or not all(isinstance(each, int) for each in listed):
        fields.refuse("attn_layer_indices", f"is {shown(listed)}, not a list of layers")
    attending, mixing = split_layers(draft.layers, set(listed))
    _attend(draft, attending, bias=fields.flag("attention_bias"))
    _mamba2(draft, mixing, "mamba", fields.number("mamba_expand", default=2) * draft.hidden)
    draft.norms(("input_layernorm", "pre_ff_layernorm"), draft.every)
    feed_forward(draft, draft.every, fields.number("intermediate_size"), _JAMBA_FEED)


def granite_hybrid(draft: Draft) -> None:
    """Granite 4: some layers attention, the others Mamba 2; each with a shared network, some models with experts."""
    fields = draft.fields
    draft.ends()
    kinds = fields.texts("layer_types", draft.layers, ("mamba", "attention"))
    if kinds is None:
        fields.refuse("layer_types", "is missing")
    attending, mixing = split_layers(draft.layers, {n for n, kind in enumerate(kinds) if kind == "attention"})
    _attend(draft, attending, bias=fields.flag("attention_bias"))
    if mixing:
        _mamba2(draft, mixing, "mamba", fields.number("mamba_expand", default=2) * draft.hidden)
    draft.norms(("input_layernorm", "post_attention_layernorm"), draft.every)
    if fields.number("num_local_experts", default=0, zero=True):
        spec = Sparse(
            "num_local_experts",
            "intermediate_size",
            router="block_sparse_moe.router.layer",
            modules=_GRANITE_EXPERTS,
        )
        experts(draft, draft.every, spec)
    shared = fields.number("shared_intermediate_size", default=0, zero=True)
    modules = ("shared_mlp.input_linear", "shared_mlp.input_linear", "shared_mlp.output_linear")
    feed_forward(draft, draft.every, shared, modules, name="shared_expert")


def nothing_but_mamba(draft: Draft) -> None:
    """Mamba, and Falcon Mamba."""
    draft.ends(embedding="backbone.embeddings", norm="backbone.norm_f")
    mamba1(draft, draft.every, "mixer")
    draft.norms(("norm",), draft.every)


def nothing_but_mamba2(draft: Draft) -> None:
    """Mamba 2."""
    fields = draft.fields
    draft.ends(embedding="backbone.embeddings", norm="backbone.norm_f")
    spec = Mamba2(
        "mixer",
        fields.number("num_heads"),
        fields.number("head_dim"),
        fields.number("n_groups"),
        fields.number("state_size"),
        fields.number("conv_kernel", default=4),
        fields.flag("use_conv_bias"),
        fields.flag("use_bias"),
    )
    mamba2(draft, draft.every, spec)
    draft.norms(("norm",), draft.every)


def lfm2(draft: Draft) -> None:
    """LFM2: some layers attention, the others short convolutions; some models with experts."""
    fields = draft.fields
    draft.ends(norm="model.embedding_norm")
    kinds = fields.texts("layer_types", draft.layers, ("conv", "full_attention"))
    if kinds is None:
        fields.refuse("layer_types", "is missing")
    attending, mixing = split_layers(draft.layers, {n for n, kind in enumerate(kinds) if kind != "conv"})
    width = draft.head_width
    modules = (*QKV[:3], "self_attn.out_proj")
    norms = ("self_attn.q_layernorm", "self_attn.k_layernorm")
    spec = Attention(draft.heads, draft.kv_heads, width, width, modules, norms="width", norm_modules=norms)
    attention(draft, attending, spec)
    draft.cache(CacheKind.FULL, attending)
    short_convolution(draft, mixing, "conv", fields.number("conv_L_cache"), bias=fields.flag("conv_bias"))
    draft.norms(("operator_norm", "ffn_norm"), draft.every)
    dense = fields.number("num_dense_layers", default=draft.layers, zero=True)
    feed_forward(draft, draft.every[:dense], _lfm2_width(draft), _LFM2_FEED)
    if dense < draft.layers:
        correction = "feed_forward.expert_bias"
        spec_ = Sparse(
            router="feed_forward.gate",
            modules=_LFM2_EXPERTS,
            correction=correction,
            correction_rule="use_expert_bias",
        )
        experts(draft, draft.every[dense:], spec_)


def _lfm2_width(draft: Draft) -> int:
    """The inner width: two thirds of what is stated, as a multiple, where the configuration says to adjust it."""
    fields = draft.fields
    width = fields.number("block_ff_dim", "intermediate_size")
    if fields.has("num_dense_layers") or not fields.flag("block_auto_adjust_ff_dim", default=True):
        return width
    width = 2 * width // 3
    width = int((fields.share("block_ffn_dim_multiplier") or 1) * width)
    multiple = fields.number("block_multiple_of", default=256)
    return -(-width // multiple) * multiple


def _attend(draft: Draft, at: Layers, *, bias: bool = False) -> None:
    if at:
        width = draft.head_width
        spec = Attention(draft.heads, draft.kv_heads, width, width, qkv_bias=bias, out_bias=bias)
        attention(draft, at, spec)
        draft.cache(CacheKind.FULL, at)


def _mamba2(draft: Draft, at: Layers, prefix: str, inner: int, *, norm: bool = True) -> None:
    """Adds mixers as Bamba's configuration describes them.

    Raises:
        InputError: the heads do not divide the channels.
    """
    fields = draft.fields
    heads = fields.number("mamba_n_heads")
    if inner % heads:
        fields.refuse("mamba_n_heads", f"is {heads}, which does not divide the {inner} channels")
    spec = Mamba2(
        prefix,
        heads,
        inner // heads,
        fields.number("mamba_n_groups"),
        fields.number("mamba_d_state"),
        fields.number("mamba_d_conv"),
        fields.flag("mamba_conv_bias", default=True),
        fields.flag("mamba_proj_bias"),
        norm,
        number_bytes(draft, "mamba_ssm_cache_dtype"),
    )
    mamba2(draft, at, spec)


def _every(draft: Draft, period: str, offset: str) -> tuple[Layers, Layers]:
    """The layers that a period and an offset choose, and the others."""
    fields = draft.fields
    step, start = fields.number(period), fields.number(offset, zero=True)
    return split_layers(draft.layers, {n for n in draft.every if n % step == start})
