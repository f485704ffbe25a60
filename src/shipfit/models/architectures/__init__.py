"""From ``config.json`` to facts, by architecture. One that is not known is refused, never guessed.

A family (a module here) adds weights and caches to a draft: ``decoder.py`` all whose layers are attention and a
feed-forward network, by tables; the others what they differ in. Towers for images and sound are added around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as shown
from typing import Any

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.multimodal import SECTIONS, WRAPPERS
from shipfit.models.architectures.positions import longest_context, rotary_tables
from shipfit.models.architectures.registry import defaults, family, known
from shipfit.models.facts import ModelFacts
from shipfit.models.quantization import with_formats

__all__ = ["known", "read_config"]

_MOST_LAYERS = 10_000
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
    outer = Fields(config, source)
    architecture = _architecture(outer)
    wrapper = WRAPPERS.get(architecture)
    language = wrapper.language or _architecture(outer.section(*SECTIONS)) if wrapper else architecture
    read = family(language, source)
    usual = {**defaults(language), **defaults(architecture)}
    fields = _language(outer, usual) if wrapper else Fields(config, source, defaults=usual)
    draft = _draft(fields, outer)
    read(draft)
    if wrapper:
        wrapper.tower(draft, outer.section("vision_config"))
    facts = ModelFacts(
        name=name,
        source=source,
        architecture=architecture,
        model_type=str(config.get("model_type", "")),
        layers=draft.layers,
        hidden=draft.hidden,
        heads=draft.heads,
        kv_heads=draft.kv_heads,
        vocabulary=draft.vocabulary,
        tied=not any(weight.name == "head" and weight.columns > 1 for weight in draft.weights),
        max_position_embeddings=longest_context(draft, language),
        dtype=_dtype(outer, fields),
        weights=tuple(draft.weights),
        caches=tuple(draft.caches),
        experts=draft.experts,
        rotary=rotary_tables(draft, language),
        multimodal=wrapper is not None,
    )
    return with_formats(facts, config, source)


def _language(outer: Fields, usual: Mapping[str, Any]) -> Fields:
    """The section of the language model; older configurations have its fields beside the others.

    What is stated outside holds for it too where it does not say it itself: whether embedding and head are one.
    """
    tied = outer.raw("tie_word_embeddings")
    section = outer.section(
        *SECTIONS, defaults=usual if tied is None else {**usual, "tie_word_embeddings": tied}
    )
    return section if section.config else Fields(outer.config, outer.source, defaults=usual)


def _draft(fields: Fields, outer: Fields) -> Draft:
    """The dimensions that every architecture has.

    Raises:
        InputError: one is missing, or heads do not divide.
    """
    listed = fields.raw("layers_block_type")  # Nemotron 3 states its layers so, and not their number
    layers = fields.number(
        "num_hidden_layers",
        "num_layers",
        "n_layer",
        "n_layers",
        default=len(listed) if isinstance(listed, list) else None,
    )
    if layers > _MOST_LAYERS:
        fields.refuse("num_hidden_layers", f"is {layers}, more than {_MOST_LAYERS}")
    hidden = fields.number("hidden_size", "n_embd", "d_model")
    without = hidden if fields.has("state_size") else None  # no attention at all: Mamba
    heads = fields.number("num_attention_heads", "n_head", "n_heads", "num_heads", default=without)
    if hidden % heads and not fields.has("head_dim") and not fields.has("kv_lora_rank"):
        fields.refuse("hidden_size", f"is {hidden}, which num_attention_heads ({heads}) does not divide")
    kv_heads = fields.number("num_key_value_heads", default=heads)
    if heads % kv_heads:
        fields.refuse("num_key_value_heads", f"is {kv_heads}, which does not divide the {heads} heads")
    width = fields.number("head_dim", default=hidden // heads)
    return Draft(fields, outer, layers, hidden, heads, kv_heads, width)


def _architecture(fields: Fields) -> str:
    """The class that a configuration names.

    Raises:
        InputError: it names none.
    """
    named = fields.raw("architectures")
    if named is None:
        fields.refuse("architectures", "is missing")
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        fields.refuse("architectures", f"is {shown(named)}, not a list that begins with a class")
    return named[0]


def _dtype(*places: Fields) -> str:
    """The number format of a checkpoint, by the first of some sections that says it."""
    for fields in places:
        for key in ("torch_dtype", "dtype"):
            dtype = fields.raw(key)
            if dtype is not None:
                if dtype not in _DTYPES:
                    fields.refuse(key, f"is {shown(dtype)}, not one of {', '.join(_DTYPES)}")
                return str(dtype)
    return "bfloat16"
