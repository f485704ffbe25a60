"""Linear attention by the delta rule between layers of full attention: Qwen3-Next, Qwen3.5 and 3.6.

vllm-project/vllm, vllm/model_executor/layers/mamba/gdn/qwen_gdn_linear_attn.py and vllm/model_executor/models
(qwen3_next.py, qwen3_5.py); states: mamba_utils.py (gated_delta_net_state_shape).
"""

from __future__ import annotations

from shipfit.models.architectures.decoder import SHARED, Sparse, experts, sparse_layers
from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.mamba import convolution, number_bytes
from shipfit.models.architectures.parts import Attention, attention, feed_forward, split_layers
from shipfit.models.facts import CacheKind, Split, State

_SHARED_ONE = tuple(name.replace("experts", "expert") for name in SHARED)


def qwen3_next(draft: Draft) -> None:
    """Qwen3-Next: the linear layers' projections lie in one tensor each."""
    _qwen(draft, ("linear_attn.in_proj_qkvz",), ("linear_attn.in_proj_ba",))


def qwen3_5(draft: Draft) -> None:
    """Qwen3.5 and 3.6, dense or with experts."""
    _qwen(
        draft,
        ("linear_attn.in_proj_qkv", "linear_attn.in_proj_z"),
        ("linear_attn.in_proj_a", "linear_attn.in_proj_b"),
    )


def _qwen(draft: Draft, inputs: tuple[str, ...], gates: tuple[str, ...]) -> None:
    fields = draft.fields
    draft.ends()
    full, linear = _full_layers(draft)
    bias = fields.flag("qkv_bias")
    width = draft.head_width
    gated = fields.flag("attn_output_gate", default=True)
    attention(
        draft,
        full,
        Attention(draft.heads, draft.kv_heads, width, width, qkv_bias=bias, norms="width", gated=gated),
    )
    draft.cache(CacheKind.FULL, full)
    _gated_delta(draft, linear, inputs, gates)
    draft.norms(("input_layernorm", "post_attention_layernorm"), draft.every)
    sparse, dense = sparse_layers(fields, draft.layers)
    if not fields.number("num_experts", default=0, zero=True):
        sparse, dense = (), draft.every
    if dense:
        feed_forward(draft, dense, fields.number("intermediate_size"))
    if sparse:
        spec = Sparse(
            shared="shared_expert_intermediate_size",
            shared_modules=_SHARED_ONE,
            shared_gate="mlp.shared_expert_gate",
        )
        experts(draft, sparse, spec)


def _full_layers(draft: Draft) -> tuple[Layers, Layers]:
    """The layers of full attention, and those of linear attention."""
    fields = draft.fields
    kinds = fields.texts("layer_types", draft.layers, ("full_attention", "linear_attention"))
    if kinds is not None:
        return split_layers(draft.layers, {n for n, kind in enumerate(kinds) if kind == "full_attention"})
    every = fields.number("full_attention_interval")
    return split_layers(draft.layers, {n for n in draft.every if (n + 1) % every == 0})


def _gated_delta(draft: Draft, at: Layers, inputs: tuple[str, ...], gates: tuple[str, ...]) -> None:
    """Adds gated delta nets (arXiv:2412.06464) and their states to layers."""
    if not at:
        return
    fields, hidden, base = draft.fields, draft.hidden, "linear_attn"
    key_heads, value_heads = fields.number("linear_num_key_heads"), fields.number("linear_num_value_heads")
    if value_heads % key_heads:
        fields.refuse(
            "linear_num_key_heads", f"is {key_heads}, which does not divide the {value_heads} value heads"
        )
    key_width, value_width = fields.number("linear_key_head_dim"), fields.number("linear_value_head_dim")
    kernel = fields.number("linear_conv_kernel_dim")
    values = value_heads * value_width
    mixed = 2 * key_heads * key_width + values
    for module, rows in zip(inputs, (mixed, values) if len(inputs) > 1 else (mixed + values,), strict=True):
        draft.matrix("linear.in", (rows, hidden), Split.OUTPUTS, (module,), at, fused="linear.in")
    shape = (value_heads * 2 // len(gates), hidden)
    draft.matrix("linear.gates", shape, Split.OUTPUTS, gates, at, quantized=False, fused="linear.gates")
    convolution(draft, at, mixed, kernel, f"{base}.conv1d", bias=False)
    draft.vector("linear.decay", value_heads, (f"{base}.A_log",), at, split=Split.OUTPUTS, wide_bytes=4)
    draft.vector("linear.step", value_heads, (f"{base}.dt_bias",), at, split=Split.OUTPUTS)
    draft.vector("linear.norm", value_width, (f"{base}.norm",), at)
    draft.matrix("linear.out", (hidden, values), Split.INPUTS, (f"{base}.out_proj",), at)
    draft.state(
        at,
        State(mixed * (kernel - 1), 2),
        State(values * key_width, number_bytes(draft, "mamba_ssm_cache_dtype", "mamba_ssm_dtype")),
    )
