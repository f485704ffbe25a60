"""DeepSeek V4: latent attention over the last tokens, and over the rest compressed by 4 or by 128.

vllm-project/vllm, vllm/models/deepseek_v4 (attention.py, compressor.py, nvidia/model.py). A layer keeps one vector for
each so many tokens: here a narrower one a token. What a compressor keeps of a request, below a megabyte, is not
counted.
"""

from __future__ import annotations

from reprlib import repr as shown

from shipfit.models.architectures.decoder import Sparse, experts
from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.facts import CacheKind, Split

_INDEXED = 4
"""The compression that comes with an index (attention.py, DeepseekV4Indexer)."""
_RATIOS = (4, 128)
_EXPERTS = ("ffn.experts.*.w1", "ffn.experts.*.w3", "ffn.experts.*.w2")
_SHARED = tuple(name.replace("experts.*", "shared_experts") for name in _EXPERTS)
_INDEX_BLOCK = 128
"""Numbers of an index key that share a scale of 4 bytes."""


def deepseek_v4(draft: Draft) -> None:
    """Adds all weights and caches of such a model."""
    fields = draft.fields
    draft.ends(embedding="embed", head="head", norm="norm")
    _attention(draft)
    draft.norms(("attn_norm", "ffn_norm"), draft.every)
    _streams(draft)
    width = fields.number("head_dim")
    for ratio, at in _compressed_layers(draft).items():
        _compressor(draft, at, "attn.compressor", ratio, width)
        index_bytes = 0
        if ratio == _INDEXED:
            index_bytes = _indexer(draft, at) // ratio
        draft.cache(CacheKind.LATENT, at, kv_heads=1, widths=(width // ratio, 0), index_bytes=index_bytes)
    window = fields.number("sliding_window")
    draft.cache(CacheKind.SLIDING, draft.every, kv_heads=1, widths=(width, 0), window=window)
    _networks(draft)


def _compressed_layers(draft: Draft) -> dict[int, Layers]:
    """The layers by how many tokens they compress into one; those that compress none are in none.

    Raises:
        InputError: the list does not name every layer, or a ratio is not known.
    """
    fields = draft.fields
    listed = fields.raw("compress_ratios")
    if not isinstance(listed, list) or len(listed) < draft.layers:
        fields.refuse("compress_ratios", f"does not list {draft.layers} layers")
    found: dict[int, Layers] = {}
    for layer, ratio in enumerate(listed[: draft.layers]):
        if ratio in _RATIOS:
            found[ratio] = (*found.get(ratio, ()), layer)
        elif ratio not in (0, 1):
            fields.refuse("compress_ratios", f"has {shown(ratio)}, not one of {', '.join(map(str, _RATIOS))}")
    return found


def _attention(draft: Draft) -> None:
    fields, hidden, at = draft.fields, draft.hidden, draft.every
    width, rank = fields.number("head_dim"), fields.number("q_lora_rank")
    groups, out_rank = fields.number("o_groups"), fields.number("o_lora_rank")
    everything = draft.heads * width
    if everything % groups:
        fields.refuse("o_groups", f"is {groups}, which does not divide the {draft.heads} heads")
    for name, rows, module in (("query_down", rank, "attn.wq_a"), ("key_value", width, "attn.wkv")):
        draft.matrix(f"attention.{name}", (rows, hidden), Split.NONE, (module,), at, fused="qkv_a")
    draft.matrix("attention.query_up", (everything, rank), Split.OUTPUTS, ("attn.wq_b",), at)
    grouped = (groups * out_rank, everything // groups)
    draft.matrix("attention.output_down", grouped, Split.OUTPUTS, ("attn.wo_a",), at)
    draft.matrix("attention.output", (hidden, groups * out_rank), Split.INPUTS, ("attn.wo_b",), at)
    draft.vector("attention.query_norm", rank, ("attn.q_norm",), at)
    draft.vector("attention.latent_norm", width, ("attn.kv_norm",), at)
    draft.vector("attention.sinks", draft.heads, ("attn.attn_sink",), at, split=Split.OUTPUTS, wide_bytes=4)


def _compressor(draft: Draft, at: Layers, module: str, ratio: int, width: int) -> None:
    """Adds what compresses keys; windows overlap where few tokens become one."""
    rows = width * (2 if ratio == _INDEXED else 1)
    modules = (f"{module}.wkv", f"{module}.wgate")
    draft.matrix("compressor", (rows, draft.hidden), Split.NONE, modules, at, quantized=False)
    positions = (ratio, rows)
    draft.matrix(
        "compressor.positions",
        positions,
        Split.NONE,
        (f"{module}.ape",),
        at,
        quantized=False,
        wide_bytes=4,
    )
    draft.vector("compressor.norm", width, (f"{module}.norm",), at)


def _indexer(draft: Draft, at: Layers) -> int:
    """Adds the index; gives the bytes of one of its keys, in 8 bits with scales."""
    fields, base = draft.fields, "attn.indexer"
    heads, width = fields.number("index_n_heads"), fields.number("index_head_dim")
    shape = (heads * width, fields.number("q_lora_rank"))
    draft.matrix("indexer.query", shape, Split.NONE, (f"{base}.wq_b",), at)
    weights = (f"{base}.weights_proj",)
    draft.matrix("indexer.weights", (heads, draft.hidden), Split.NONE, weights, at, quantized=False)
    _compressor(draft, at, f"{base}.compressor", _INDEXED, width)
    return width + width // _INDEX_BLOCK * 4


def _streams(draft: Draft) -> None:
    """Adds what mixes the parallel residual streams before and after each part of a layer, in 32 bits."""
    streams = draft.fields.number("hc_mult")
    wide, mixed = streams * draft.hidden, (2 + streams) * streams
    for part in ("attn", "ffn"):
        for name, shape in (("fn", (mixed, wide)), ("base", (mixed, 1)), ("scale", (3, 1))):
            module = (f"hc_{part}_{name}",)
            draft.matrix("streams", shape, Split.NONE, module, draft.every, quantized=False, wide_bytes=4)
    for name, shape in (("fn", (streams, wide)), ("base", (streams, 1)), ("scale", (1, 1))):
        draft.matrix("streams", shape, Split.NONE, (f"hc_head_{name}",), None, quantized=False, wide_bytes=4)


def _networks(draft: Draft) -> None:
    """Adds the experts; in the first layers a table chooses them by token."""
    fields = draft.fields
    hashed = fields.number("num_hash_layers", default=0, zero=True)
    spec = Sparse(
        "n_routed_experts",
        router="ffn.gate",
        modules=_EXPERTS,
        shared="moe_intermediate_size",
        shared_count="n_shared_experts",
        shared_modules=_SHARED,
    )
    experts(draft, draft.every, spec)
    routed = draft.every[hashed:]
    draft.vector(
        "router_correction", fields.number("n_routed_experts"), ("ffn.gate.bias",), routed, wide_bytes=4
    )
    table = (draft.vocabulary, fields.number("num_experts_per_tok"))
    draft.matrix(
        "router_table",
        table,
        Split.NONE,
        ("ffn.gate.tid2eid",),
        draft.every[:hashed],
        quantized=False,
        looked_up=True,
        wide_bytes=4,
    )
