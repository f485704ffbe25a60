"""Positions: the longest context that a configuration allows, and the tables of rotary position embeddings.

The context: vllm-project/vllm, vllm/config/model.py (_get_and_verify_max_len) and
vllm/transformers_utils/model_arch_config_convertor.py (derive_max_model_len_and_key).

The tables hold cosines and sines that the engine works out once and keeps: one for each distinct set of parameters,
whatever the number of layers that use it, on every GPU, in the model's 16 bits. The same,
vllm/model_executor/layers/rotary_embedding/__init__.py (get_rope) and base.py; which positions one is for, by kind:
linear_scaling_rope.py, yarn_scaling_rope.py, deepseek_scaling_rope.py, phi3_long_rope_scaled_rope.py, mrope.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.facts import CacheKind, Rotary

_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
_SCALED_ALREADY = (
    "default",
    "llama3",
    "longrope",
    "mrope",
    "su",
    "yarn",
    "deepseek_yarn",
    "deepseek_llama_scaling",
    "proportional",
)
"""Kinds of scaling whose configurations state the scaled length."""
_WITHOUT_END = 2**20
"""Tokens that models are planned for whose layers all keep a state: nothing in them ends anywhere."""
_WITHOUT_TABLE = ("NemotronH", "Jamba", "Bloom", "MPT", "GPT2", "OPT", "GPTBigCode")
"""How the names of architectures begin that have no rotary embedding, or other positions."""
_TIMES_FACTOR = ("linear", "yarn", "deepseek_yarn", "deepseek_llama_scaling")
"""Kinds whose table reaches as far as the longest context, given as a multiple of the original one."""
_IMAGE_POSITIONS = 4
"""How many times as many positions a table for images and video has (mrope.py, cache_max_position_num)."""


def longest_context(draft: Draft, language: str) -> int:
    """Tokens of the longest context.

    Args:
        draft: the model.
        language: the architecture of its language model.

    Raises:
        InputError: the configuration does not say it.
    """
    keys = ("model_max_length", *_KEYS) if language.startswith("Cohere") else _KEYS
    longest = draft.fields.number(*keys, default=None if _attends(draft) else _WITHOUT_END)
    if language.startswith("Gemma3"):  # states the scaled length, whatever the kind
        return longest
    scaled = (each for each in _sets(draft.fields) if _kind(each) not in _SCALED_ALREADY)
    return int(longest * max((each.share("factor") or 1 for each in scaled), default=1))


def rotary_tables(draft: Draft, language: str) -> tuple[Rotary, ...]:
    """The tables that a model needs; none where nothing attends.

    Args:
        draft: the model.
        language: the architecture of its language model.

    Raises:
        InputError: a field of theirs makes no sense.
    """
    if language.startswith(_WITHOUT_TABLE) or not _attends(draft):
        return ()
    fields = draft.fields
    sets = _sets(fields)
    windowed = fields.raw("rope_local_base_freq") or fields.raw("swa_rope_theta")  # of Gemma 3, of MiMo V2
    if (
        windowed and windowed != fields.raw("rope_theta") and len(sets) == 1
    ):  # a set of their own, without scaling
        sets.append(Fields({"rope_theta": windowed}, fields.source))
    distinct = [
        each for number, each in enumerate(sets) if each.config not in [s.config for s in sets[:number]]
    ]
    return tuple(Rotary(_positions(fields, each), _width(draft, each)) for each in distinct)


def _attends(draft: Draft) -> bool:
    return any(cache.kind is not CacheKind.STATE for cache in draft.caches)


def _sets(fields: Fields) -> list[Fields]:
    """The sets of rotary parameters: one, or one for each kind of layer."""
    section = fields.section("rope_parameters", "rope_scaling")
    nested = [key for key, value in section.config.items() if isinstance(value, Mapping)]
    return [section.section(key) for key in nested] or [section]


def _kind(scaling: Fields) -> str:
    return str(scaling.raw("rope_type") or scaling.raw("type") or "default")


def _positions(fields: Fields, scaling: Fields) -> int:
    longest = fields.number(*_KEYS, default=8192)
    kind, factor = _kind(scaling), scaling.share("factor")
    own = fields.number("original_max_position_embeddings", default=0, zero=True)
    original = scaling.number("original_max_position_embeddings", default=own, zero=True)
    if kind in _TIMES_FACTOR and factor:
        longest = int((longest if kind == "linear" else original or longest) * factor)
    elif kind in ("longrope", "su"):
        longest += original
    return longest * (_IMAGE_POSITIONS if scaling.has("mrope_section") else 1)


def _width(draft: Draft, scaling: Fields) -> int:
    """Numbers of a row; only a part of each head may be turned."""
    fields = draft.fields
    if _kind(scaling) == "proportional":  # the part that is not turned has rows of zeros (gemma4_rope.py)
        return fields.number("global_head_dim", default=draft.head_width)
    stated = fields.number("qk_rope_head_dim", "rotary_dim", default=0, zero=True)
    shares = (
        scaling.share("partial_rotary_factor"),
        *map(fields.share, ("partial_rotary_factor", "rotary_pct")),
    )
    return stated or int(draft.head_width * min(next((share for share in shares if share), 1), 1))
