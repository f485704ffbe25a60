"""Nemotron-H: each layer is one thing, as a pattern of letters says: Mamba 2, attention, a network, or experts.

vllm-project/vllm, vllm/model_executor/models/nemotron_h.py.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.mamba import Mamba2, mamba2, number_bytes
from shipfit.models.architectures.parts import Attention, Mixture, attention, feed_forward, mixture
from shipfit.models.facts import CacheKind, Split

_LETTERS = {"M": "mamba", "*": "attention", "-": "network", "E": "experts"}
_WORDS = {"mlp": "network", "moe": "experts", "mamba": "mamba", "attention": "attention"}
_PLAIN = ("mixer.up_proj", "mixer.down_proj")
_EXPERTS = ("mixer.experts.*.up_proj", "mixer.experts.*.down_proj")
_SHARED = ("mixer.shared_experts.up_proj", "mixer.shared_experts.down_proj")


def nemotron_h(draft: Draft) -> None:
    """Adds all weights and caches of such a model."""
    draft.ends(embedding="backbone.embeddings", norm="backbone.norm_f")
    draft.norms(("norm",), draft.every)
    kinds = _kinds(draft)
    at = {kind: tuple(n for n, each in enumerate(kinds) if each == kind) for kind in _LETTERS.values()}
    if at["mamba"]:
        _mamba(draft, at["mamba"])
    if at["attention"]:
        _attention(draft, at["attention"])
    if at["network"]:
        _networks(draft, at["network"])
    if at["experts"]:
        _experts(draft, at["experts"])


def _kinds(draft: Draft) -> tuple[str, ...]:
    """What each layer is.

    Raises:
        InputError: the pattern does not name every layer, or has a letter that is not known.
    """
    fields = draft.fields
    words = fields.texts("layers_block_type", draft.layers, tuple(_WORDS))
    if words is not None:
        return tuple(_WORDS[word] for word in words)
    pattern = fields.raw("hybrid_override_pattern")
    if not isinstance(pattern, str):
        fields.refuse("hybrid_override_pattern", "is missing")
    fields.same_length("hybrid_override_pattern", pattern, draft.layers)
    for letter in pattern:
        if letter not in _LETTERS:
            fields.refuse("hybrid_override_pattern", f"has {letter!r}, not one of {' '.join(_LETTERS)}")
    return tuple(_LETTERS[letter] for letter in pattern)


def _mamba(draft: Draft, at: Layers) -> None:
    fields = draft.fields
    spec = Mamba2(
        "mixer",
        fields.number("mamba_num_heads"),
        fields.number("mamba_head_dim"),
        fields.number("n_groups"),
        fields.number("ssm_state_size"),
        fields.number("conv_kernel"),
        fields.flag("use_conv_bias"),
        fields.flag("use_bias"),
        state_bytes=number_bytes(draft, "mamba_ssm_cache_dtype"),
    )
    mamba2(draft, at, spec)


def _attention(draft: Draft, at: Layers) -> None:
    fields = draft.fields
    width = fields.number("head_dim", "attention_head_dim", default=draft.head_width)
    modules = ("mixer.q_proj", "mixer.k_proj", "mixer.v_proj", "mixer.o_proj")
    bias = fields.flag("attention_bias")
    attention(draft, at, Attention(draft.heads, draft.kv_heads, width, width, modules, bias, bias))
    draft.cache(CacheKind.FULL, at, widths=(width, width))


def _networks(draft: Draft, at: Layers) -> None:
    fields = draft.fields
    bias = fields.flag("mlp_bias")
    widths = fields.raw("intermediate_size")
    if isinstance(widths, list) and len(widths) > 1:
        fields.same_length("intermediate_size", widths, len(at))
        for layer, width in zip(at, widths, strict=True):
            feed_forward(draft, (layer,), fields.checked("intermediate_size", width), _PLAIN, bias=bias)
        return
    feed_forward(draft, at, fields.number("intermediate_size"), _PLAIN, bias=bias)


def _experts(draft: Draft, at: Layers) -> None:
    """Adds routed experts, which may work in a narrower stream, and those that every token passes through."""
    fields = draft.fields
    count, per_token = fields.number("n_routed_experts"), fields.number("num_experts_per_tok")
    if per_token > count:
        fields.refuse("num_experts_per_tok", f"is {per_token}, of {count} experts")
    narrow = fields.number("moe_latent_size", default=0, zero=True)
    if narrow:
        for name, shape, module in (
            ("latent_down", (narrow, draft.hidden), "mixer.fc1_latent_proj"),
            ("latent_up", (draft.hidden, narrow), "mixer.fc2_latent_proj"),
        ):
            draft.matrix(f"experts_{name}", shape, Split.NONE, (module,), at, quantized=False)
    mixture(
        draft,
        at,
        Mixture(
            count,
            per_token,
            fields.number("moe_intermediate_size"),
            "mixer.gate",
            _EXPERTS,
            correction="mixer.gate.e_score_correction_bias",
            hidden=narrow or None,
        ),
    )
    shared = fields.number("n_shared_experts", default=0, zero=True)
    if shared:
        width = shared * fields.number("moe_shared_expert_intermediate_size")
        feed_forward(draft, at, width, _SHARED, name="shared_expert")
