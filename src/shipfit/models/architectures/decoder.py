"""Decoders whose layers are all attention and a feed-forward network: what a table says of each is all there is to it.

Sources: vllm-project/vllm (vllm/model_executor/models), huggingface/transformers (src/transformers/models).
"""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as shown

from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.parts import (
    EXPERTS,
    GATED,
    QKV,
    Attention,
    HeadNorms,
    Mixture,
    attention,
    feed_forward,
    mixture,
    split_layers,
)
from shipfit.models.architectures.windows import caches
from shipfit.models.facts import Split

Rule = bool | str
"""Whether something is there: always, never, or as a field of the configuration says."""

SHARED = ("mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj", "mlp.shared_experts.down_proj")


@dataclass(frozen=True)
class Sparse:
    """The mixture of experts of a decoder.

    Attributes:
        count: the field that says how many routed experts there are; so do ``width`` and ``chosen``.
        width: the inner width of one.
        chosen: how many a token passes through.
        router: the router's name in a checkpoint.
        modules: names of an expert's matrices.
        bias: whether experts and router have biases.
        correction: the name of the router's balancing numbers; empty: none.
        correction_rule: whether there are any.
        shared: the field that says how wide the shared expert is; empty: there is none.
        shared_count: the field that says how many of that width there are side by side; empty: one.
        shared_modules: names of the shared expert's matrices.
        shared_gate: the name of the shared expert's gate; empty: none.
        router_bytes: bytes of a router's number.
        hidden: the field that says how wide an expert is outside; empty, or the field missing: as the stream.
    """

    count: str = "num_experts"
    width: str = "moe_intermediate_size"
    chosen: str = "num_experts_per_tok"
    router: str = "mlp.gate"
    modules: tuple[str, ...] = EXPERTS
    bias: bool = False
    correction: str = ""
    correction_rule: Rule = True
    shared: str = ""
    shared_count: str = ""
    shared_modules: tuple[str, ...] = SHARED
    shared_gate: str = ""
    router_bytes: int = 2
    hidden: str = ""


@dataclass(frozen=True)
class Decoder:
    """What tells one such architecture from another.

    Attributes:
        attention: names of query, key, value and output in a checkpoint.
        feed_forward: names of gate, up and down, or of up and down.
        norms: names of a layer's norms.
        norm_bias: whether these have a bias, and the last one.
        qkv_bias: whether query, key and value have one.
        out_bias: whether attention's output has one.
        mlp_bias: whether the feed-forward network has.
        head_norms: how queries and keys are normed.
        head_norm_rule: whether they are.
        head_norm_modules: the names of these norms.
        sinks: whether each head has a sink (a number that takes part in the softmax).
        sparse: the mixture of experts; None: there is none.
        embedding: the embedding's name; so are ``head`` and ``last_norm`` (empty: it has no weight).
        head_bias: whether the head has a bias.
        full_every: which layer looks back all the way where the configuration does not list them; 0: each alike.
    """

    attention: tuple[str, str, str, str] = QKV
    feed_forward: tuple[str, ...] = GATED
    norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    norm_bias: bool = False
    qkv_bias: Rule = "attention_bias"
    out_bias: Rule = "attention_bias"
    mlp_bias: Rule = "mlp_bias"
    head_norms: HeadNorms = "no"
    head_norm_rule: Rule = True
    head_norm_modules: tuple[str, ...] = ("self_attn.q_norm", "self_attn.k_norm")
    sinks: bool = False
    sparse: Sparse | None = None
    embedding: str = "model.embed_tokens"
    head: str = "lm_head"
    last_norm: str = "model.norm"
    head_bias: bool = False
    full_every: int = 0


def stated(fields: Fields, rule: Rule) -> bool:
    """What a rule comes to for a configuration."""
    return fields.flag(rule) if isinstance(rule, str) else rule


def decode(draft: Draft, decoder: Decoder) -> None:
    """Adds all weights and caches of such a model."""
    fields = draft.fields
    draft.ends(
        embedding=decoder.embedding,
        head=decoder.head,
        norm=decoder.last_norm,
        norm_bias=decoder.norm_bias,
        head_bias=decoder.head_bias,
    )
    _attend(draft, decoder)
    draft.norms(decoder.norms, draft.every, bias=decoder.norm_bias)
    sparse, dense = sparse_layers(fields, draft.layers) if decoder.sparse else ((), draft.every)
    if decoder.sparse:
        experts(draft, sparse, decoder.sparse)
    if dense:
        width = fields.number("intermediate_size", "ffn_hidden_size")
        feed_forward(draft, dense, width, decoder.feed_forward, bias=stated(fields, decoder.mlp_bias))
    caches(draft, decoder.full_every)


def _attend(draft: Draft, decoder: Decoder) -> None:
    fields, width = draft.fields, draft.head_width
    spec = Attention(
        draft.heads,
        draft.kv_heads,
        width,
        width,
        decoder.attention,
        stated(fields, decoder.qkv_bias),
        stated(fields, decoder.out_bias),
        decoder.head_norms if stated(fields, decoder.head_norm_rule) else "no",
        decoder.head_norm_modules,
    )
    attention(draft, draft.every, spec)
    if decoder.sinks:
        sinks = ("self_attn.sinks",)
        draft.vector("attention.sinks", draft.heads, sinks, draft.every, split=Split.OUTPUTS)


def experts(draft: Draft, at: Layers, spec: Sparse) -> None:
    """Adds routed and shared experts to layers.

    Raises:
        InputError: more experts for a token than there are.
    """
    fields = draft.fields
    count, per_token, width = (fields.number(key) for key in (spec.count, spec.chosen, spec.width))
    if per_token > count:
        fields.refuse(spec.chosen, f"is {per_token}, of {count} experts")
    correction = spec.correction if stated(fields, spec.correction_rule) else ""
    mixture(
        draft,
        at,
        Mixture(
            count,
            per_token,
            width,
            spec.router,
            spec.modules,
            bias=spec.bias,
            router_bias=spec.bias,
            correction=correction,
            hidden=fields.number(spec.hidden, default=draft.hidden) if spec.hidden else None,
            router_bytes=spec.router_bytes,
        ),
    )
    if not spec.shared:
        return
    shared = fields.number(spec.shared, default=0, zero=True)
    if spec.shared_count:
        shared *= fields.number(spec.shared_count, default=0, zero=True)
    if shared:
        feed_forward(draft, at, shared, spec.shared_modules, name="shared_expert")
        if spec.shared_gate:
            draft.matrix(
                "shared_expert.gate", (1, draft.hidden), Split.NONE, (spec.shared_gate,), at, quantized=False
            )


def sparse_layers(fields: Fields, count: int) -> tuple[Layers, Layers]:
    """The layers with experts, and those with one feed-forward network, by whichever fields tell them apart.

    Raises:
        InputError: a list that does not name every layer.
    """
    kinds = fields.texts("mlp_layer_types", count, ("dense", "sparse"))
    if kinds is not None:
        return split_layers(count, {n for n, kind in enumerate(kinds) if kind == "sparse"})
    frequency = fields.raw("moe_layer_freq")
    if isinstance(frequency, list):
        ones = fields.numbers("moe_layer_freq", count)
        return split_layers(count, {n for n, one in enumerate(ones) if one})
    chosen = set(range(fields.number("first_k_dense_replace", default=0, zero=True), count))
    every = fields.number("moe_layer_freq", default=1)
    chosen = {n for n in chosen if n % every == 0}
    step = fields.number("decoder_sparse_step", default=1)
    dense = fields.raw("mlp_only_layers") or []
    if not isinstance(dense, list):
        fields.refuse("mlp_only_layers", f"is {shown(dense)}, not a list")
    chosen = {n for n in chosen if (n + 1) % step == 0 and n not in dense}
    start = fields.number("moe_layer_start_index", default=0, zero=True)
    end = fields.number("moe_layer_end_index", default=count - 1, zero=True)
    interval = fields.number("moe_layer_interval", default=1)
    return split_layers(count, {n for n in chosen if start <= n <= end and (n + 1) % interval == 0})
