"""Kimi Linear and Kimi K3: layers of latent attention between those of Kimi's delta attention (arXiv:2510.26692).

vllm-project/vllm, vllm/models/kimi_k3/nvidia (model.py, mla.py) and vllm/model_executor/layers/mamba/gdn
(kimi_gdn_linear_attn.py); states: mamba_utils.py (kda_state_shape).
"""

from __future__ import annotations

from shipfit.models.architectures import latent
from shipfit.models.architectures.decoder import Sparse, experts, sparse_layers
from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.mamba import convolution
from shipfit.models.architectures.parts import feed_forward, split_layers
from shipfit.models.facts import Split, State

_BASE = "block_sparse_moe"
_EXPERTS = (f"{_BASE}.experts.*.w1", f"{_BASE}.experts.*.w3", f"{_BASE}.experts.*.w2")
_SHARED = tuple(f"{_BASE}.shared_experts.{name}_proj" for name in ("gate", "up", "down"))
_RESIDUALS = ("self_attention", "mlp")
"""Of what K3 mixes earlier layers' outputs into the input."""


def kimi_linear(draft: Draft) -> None:
    """Adds all weights and caches of such a model."""
    fields = draft.fields
    draft.ends()
    section = fields.section("linear_attn_config")
    listed = section.raw("full_attn_layers")
    if not isinstance(listed, list):
        section.refuse("full_attn_layers", "is missing")
    full, linear = split_layers(draft.layers, {number - 1 for number in listed if isinstance(number, int)})
    spec = latent.latent(draft)
    latent.attention(draft, full, spec)
    latent.cache(draft, full, spec)
    if fields.flag("mla_use_output_gate"):
        shape = (draft.heads * spec.value, draft.hidden)
        draft.matrix("attention.gate", shape, Split.OUTPUTS, ("self_attn.g_proj",), full)
    _delta(draft, linear, section)
    draft.norms(("input_layernorm", "post_attention_layernorm"), draft.every)
    _residuals(draft)
    sparse, dense = sparse_layers(fields, draft.layers)
    feed_forward(draft, dense, fields.number("intermediate_size"))
    narrow = fields.number("routed_expert_hidden_size", default=0, zero=True)
    for name, shape in (("down", (narrow, draft.hidden)), ("up", (draft.hidden, narrow))):
        module = (f"{_BASE}.routed_expert_{name}_proj",)
        draft.matrix(f"experts_latent_{name}", shape, Split.NONE, module, sparse)
    if fields.flag("latent_moe_use_norm"):
        draft.vector("experts_latent_norm", narrow, (f"{_BASE}.routed_expert_norm",), sparse)
    spec_ = Sparse(
        chosen="num_experts_per_token",
        router=f"{_BASE}.gate",
        modules=_EXPERTS,
        correction=f"{_BASE}.gate.e_score_correction_bias",
        hidden="routed_expert_hidden_size",
        shared="moe_intermediate_size",
        shared_count="num_shared_experts",
        shared_modules=_SHARED,
    )
    experts(draft, sparse, spec_)


def _delta(draft: Draft, at: Layers, section: Fields) -> None:
    """Adds delta attention and its states to layers; each head has a decay for every channel."""
    heads, width = section.number("num_heads"), section.number("head_dim")
    kernel, wide_gate = section.number("short_conv_kernel_size"), section.flag("use_full_rank_gate")
    hidden, inner, base = draft.hidden, heads * width, "self_attn"
    inputs = tuple(f"{base}.{name}_proj" for name in ("qkvg" if wide_gate else "qkv"))
    draft.matrix("linear.in", (inner, hidden), Split.OUTPUTS, inputs, at, fused="linear.in")
    draft.matrix("linear.beta", (heads, hidden), Split.OUTPUTS, (f"{base}.b_proj",), at, quantized=False)
    for letter in "f" if wide_gate else "fg":
        draft.matrix("linear.gate_down", (width, hidden), Split.NONE, (f"{base}.{letter}_a_proj",), at)
        draft.matrix("linear.gate_up", (inner, width), Split.OUTPUTS, (f"{base}.{letter}_b_proj",), at)
    for name in "qkv":
        convolution(draft, at, inner, kernel, f"{base}.{name}_conv1d", bias=False, wide_bytes=4)
    draft.vector("linear.decay", heads, (f"{base}.A_log",), at, split=Split.OUTPUTS, wide_bytes=4)
    draft.vector("linear.step", inner, (f"{base}.dt_bias",), at, split=Split.OUTPUTS, wide_bytes=4)
    draft.vector("linear.norm", width, (f"{base}.o_norm",), at)
    draft.matrix("linear.out", (hidden, inner), Split.INPUTS, (f"{base}.o_proj",), at)
    draft.state(at, State(3 * inner * (kernel - 1), 2), State(inner * width, 4))


def _residuals(draft: Draft) -> None:
    """Adds what weighs earlier layers' outputs, where the model attends to them (K3)."""
    if not draft.fields.number("attn_res_block_size", default=0, zero=True):
        return
    draft.norms(tuple(f"{name}_res_norm" for name in _RESIDUALS), draft.every)
    modules = tuple(f"{name}_res_proj" for name in _RESIDUALS)
    draft.matrix("residual_weights", (1, draft.hidden), Split.NONE, modules, draft.every, quantized=False)
    draft.norms(("model.output_attn_res_norm",), None)
    last = ("model.output_attn_res_proj",)
    draft.matrix("residual_weights", (1, draft.hidden), Split.NONE, last, None, quantized=False)
