"""From ``config.json`` to facts, by architecture. One that is not in the table is refused, never guessed.

A decoder layer is the same in all of them: query, key, value, output; gate, up, down (or experts of these); norms.
They differ in what this table says. Sources: the modeling files of each in huggingface/transformers
(src/transformers/models/<model_type>/modeling_<model_type>.py), and vLLM's (vllm/model_executor/models).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shipfit.core.errors import InputError
from shipfit.models.facts import Experts, ModelFacts, Split, Weight
from shipfit.models.quantization import read_quantization


@dataclass(frozen=True)
class Decoder:
    """What tells one architecture from another.

    Attributes:
        norms: norm vectors of hidden width in a layer.
        head_norms: whether query and key heads are normed (one vector of head width each).
        qkv_bias: whether query, key and value have a bias; None: ``attention_bias`` says.
        out_bias: whether attention's output has one, likewise.
        windowed: how windowed layers are told: ``"all"`` where ``sliding_window`` is set, ``"pattern"`` by
            ``layer_types`` or every nth layer full, ``"no"``: the key is not used.
        full_every: with ``pattern``, which layer is full where the config does not list them.
        experts: names of the config's keys for number and width of experts; None for a dense model.
    """

    norms: int = 2
    head_norms: bool = False
    qkv_bias: bool | None = None
    out_bias: bool | None = None
    windowed: str = "no"
    full_every: int = 0
    experts: tuple[str, str] | None = None


_LLAMA = Decoder()
DECODERS: dict[str, Decoder] = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": Decoder(windowed="all"),
    "GraniteForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": Decoder(qkv_bias=True, out_bias=False),
    "Qwen3ForCausalLM": Decoder(head_norms=True),
    "GemmaForCausalLM": _LLAMA,
    "Gemma2ForCausalLM": Decoder(norms=4, windowed="pattern", full_every=2),
    "Gemma3ForCausalLM": Decoder(norms=4, head_norms=True, windowed="pattern", full_every=6),
    "Phi3ForCausalLM": Decoder(windowed="all"),
    "MixtralForCausalLM": Decoder(windowed="all", experts=("num_local_experts", "intermediate_size")),
    "Qwen3MoeForCausalLM": Decoder(head_norms=True, experts=("num_experts", "moe_intermediate_size")),
}

_DTYPES = ("bfloat16", "float16", "float32")


def read_config(config: Mapping[str, Any], name: str, source: str) -> ModelFacts:
    """The facts of a model from its configuration.

    Args:
        config: the content of ``config.json``.
        name: as the user named the model; for messages.
        source: the file or address that the configuration was read from; for messages.

    Raises:
        InputError: the architecture is not known, or a field is missing or makes no sense.
    """
    fields = _Fields(config, source)
    architecture = _architecture(config, source)
    decoder = DECODERS[architecture]
    layers, hidden, heads = (
        fields.number(key) for key in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    if "head_dim" not in config and hidden % heads:
        raise fields.wrong("hidden_size", f"is {hidden}, which num_attention_heads ({heads}) does not divide")
    kv_heads = fields.number("num_key_value_heads", heads)
    if heads % kv_heads:
        raise fields.wrong("num_key_value_heads", f"is {kv_heads}, which does not divide the {heads} heads")
    experts = _experts(fields, decoder)
    sliding = _sliding_layers(fields, decoder, layers)
    dtype = str(config.get("torch_dtype") or config.get("dtype") or "bfloat16")
    if dtype not in _DTYPES:
        raise fields.wrong("torch_dtype", f"is {dtype!r}, not one of {', '.join(_DTYPES)}")
    facts = ModelFacts(
        name=name,
        source=source,
        architecture=architecture,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=fields.number("head_dim", hidden // heads),
        vocabulary=fields.number("vocab_size"),
        tied=bool(config.get("tie_word_embeddings", architecture.startswith("Gemma"))),
        max_position_embeddings=fields.number("max_position_embeddings"),
        dtype=dtype,
        weights=(),
        sliding_window=fields.number("sliding_window") if sliding else None,
        sliding_layers=sliding,
        experts=experts,
        quantization=read_quantization(config, source),
    )
    return _with_weights(facts, decoder, fields)


class _Fields:
    """Reads numbers from a configuration; a wrong one is refused with its name and file."""

    def __init__(self, config: Mapping[str, Any], source: str) -> None:
        self.config = config
        self.source = source

    def number(self, key: str, default: int | None = None) -> int:
        value = self.config.get(key)
        if value is None:
            if default is None:
                raise self.wrong(key, "is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**40:
            raise self.wrong(key, f"is {value!r}, not a positive number")
        return value

    def wrong(self, key: str, what: str) -> InputError:
        return InputError(
            what, hint="use the config.json that the model was published with", where=self.source, field=key
        )


def _architecture(config: Mapping[str, Any], source: str) -> str:
    named = config.get("architectures")
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        raise InputError(
            "architectures is missing",
            hint="use the config.json that the model was published with",
            where=source,
        )
    if named[0] not in DECODERS:
        raise InputError(
            f"shipfit does not know the architecture {named[0]} and does not guess its size",
            hint=f"it knows: {', '.join(DECODERS)}",
            where=source,
        )
    return named[0]


def _experts(fields: _Fields, decoder: Decoder) -> Experts | None:
    if decoder.experts is None:
        return None
    for key, usual in (("decoder_sparse_step", 1), ("mlp_only_layers", [])):
        if fields.config.get(key, usual) not in (usual, None):
            raise fields.wrong(
                key, f"is {fields.config[key]!r}: layers without experts between those with are not known"
            )
    count, width = decoder.experts
    per_token = fields.number("num_experts_per_tok")
    experts = Experts(fields.number(count), per_token, fields.number(width))
    if per_token > experts.count:
        raise fields.wrong("num_experts_per_tok", f"is {per_token}, of {experts.count} experts")
    return experts


def _sliding_layers(fields: _Fields, decoder: Decoder, layers: int) -> int:
    """How many layers only look back ``sliding_window`` tokens."""
    if decoder.windowed == "no" or fields.config.get("sliding_window") is None:
        return 0
    listed = fields.config.get("layer_types")
    if isinstance(listed, list):
        if len(listed) != layers:
            raise fields.wrong("layer_types", f"lists {len(listed)} layers, not {layers}")
        return listed.count("sliding_attention")
    if decoder.windowed == "all":
        return layers
    return layers - layers // fields.number("sliding_window_pattern", decoder.full_every)


def _with_weights(facts: ModelFacts, decoder: Decoder, fields: _Fields) -> ModelFacts:
    from dataclasses import replace

    weights = [*_ends(facts), *_attention(facts, decoder, fields), *_feed_forward(facts, fields)]
    norms = decoder.norms * facts.layers + 1  # and the last, before the head
    weights.append(_vector("norms", facts.hidden, norms))
    if decoder.head_norms:
        weights.append(_vector("attention.head_norms", facts.head_dim, 2 * facts.layers))
    return replace(facts, weights=tuple(weights))


def _ends(facts: ModelFacts) -> list[Weight]:
    """The embedding, and the output head where it is another matrix."""
    embedding = Weight(
        "embedding",
        facts.vocabulary,
        facts.hidden,
        1,
        Split.OUTPUTS,
        quantized=False,
        per_token=1,
        looked_up=not facts.tied,
    )
    head = Weight("head", facts.vocabulary, facts.hidden, 1, Split.OUTPUTS, quantized=False, per_token=1)
    return [embedding] if facts.tied else [embedding, head]


def _attention(facts: ModelFacts, decoder: Decoder, fields: _Fields) -> list[Weight]:
    queries, values, layers = facts.heads * facts.head_dim, facts.kv_heads * facts.head_dim, facts.layers
    weights = [
        _matrix("attention.query", queries, facts.hidden, layers, Split.OUTPUTS),
        _matrix("attention.key_value", values, facts.hidden, 2 * layers, Split.KV_HEADS),
        _matrix("attention.output", facts.hidden, queries, layers, Split.INPUTS),
    ]
    stated = bool(fields.config.get("attention_bias"))
    if stated if decoder.qkv_bias is None else decoder.qkv_bias:
        weights.append(_vector("attention.query_bias", queries, layers, Split.OUTPUTS))
        weights.append(_vector("attention.key_value_bias", values, 2 * layers, Split.KV_HEADS))
    if stated if decoder.out_bias is None else decoder.out_bias:
        weights.append(_vector("attention.output_bias", facts.hidden, layers))
    return weights


def _feed_forward(facts: ModelFacts, fields: _Fields) -> list[Weight]:
    layers, hidden, experts = facts.layers, facts.hidden, facts.experts
    if experts:
        every, used = layers * experts.count, layers * experts.per_token
        return [
            Weight("router", experts.count, hidden, layers, Split.NONE, quantized=False, per_token=layers),
            Weight("experts.gate_up", 2 * experts.intermediate, hidden, every, Split.OUTPUTS, True, used),
            Weight("experts.down", hidden, experts.intermediate, every, Split.INPUTS, True, used),
        ]
    width = fields.number("intermediate_size")
    weights = [
        _matrix("feed_forward.gate_up", 2 * width, hidden, layers, Split.OUTPUTS),
        _matrix("feed_forward.down", hidden, width, layers, Split.INPUTS),
    ]
    if fields.config.get("mlp_bias"):
        weights.append(_vector("feed_forward.gate_up_bias", 2 * width, layers, Split.OUTPUTS))
        weights.append(_vector("feed_forward.down_bias", hidden, layers))
    return weights


def _matrix(name: str, rows: int, columns: int, count: int, split: Split) -> Weight:
    return Weight(name, rows, columns, count, split, quantized=True, per_token=count)


def _vector(name: str, width: int, count: int, split: Split = Split.NONE) -> Weight:
    return Weight(name, width, 1, count, split, quantized=False, per_token=count)
