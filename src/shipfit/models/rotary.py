"""The tables of rotary position embeddings: cosines and sines that the engine works out once and keeps.

One table for each distinct set of parameters, whatever the number of layers that use it, on every GPU, in the
model's 16 bits: vllm/model_executor/layers/rotary_embedding/__init__.py (get_rope) and base.py; which positions it is
for, by kind: linear_scaling_rope.py, yarn_scaling_rope.py, deepseek_scaling_rope.py, phi3_long_rope_scaled_rope.py,
mrope.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipfit.models.facts import Rotary

_WITHOUT = ("NemotronH", "Jamba", "Bloom", "MPT", "GPT2", "OPT", "GPTBigCode")
"""How the names of architectures begin that have no rotary embedding, or other positions."""
_TIMES_FACTOR = ("linear", "yarn", "deepseek_yarn", "deepseek_llama_scaling")
"""Kinds whose table reaches as far as the longest context, given as a multiple of the original one."""
_IMAGE_POSITIONS = 4
"""How many times as many positions a table for images and video has (mrope.py, cache_max_position_num)."""


def read_rotary(config: Mapping[str, Any], architecture: str, head_width: int) -> tuple[Rotary, ...]:
    """The tables that a model needs.

    Args:
        config: of the language model: ``config.json``, or its ``text_config``.
        architecture: the class in ``architectures``.
        head_width: numbers of a query head.
    """
    if architecture.startswith(_WITHOUT):
        return ()
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(scaling, Mapping):
        return ()
    if nested := [each for each in scaling.values() if isinstance(each, Mapping)]:
        sets = [dict(each) for each in nested]
    elif config.get("rope_local_base_freq"):  # windowed layers have parameters of their own, and no scaling
        sets = [dict(scaling), {"rope_theta": config["rope_local_base_freq"]}]
    else:
        sets = [dict(scaling)]
    distinct = [each for number, each in enumerate(sets) if each not in sets[:number]]
    return tuple(Rotary(_positions(config, each), _width(config, each, head_width)) for each in distinct)


def _positions(config: Mapping[str, Any], scaling: Mapping[str, Any]) -> int:
    longest = _number(config.get("max_position_embeddings")) or 8192
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    original = _number(scaling.get("original_max_position_embeddings")) or _number(
        config.get("original_max_position_embeddings")
    )
    factor = scaling.get("factor")
    if kind in _TIMES_FACTOR and isinstance(factor, int | float) and 0 < factor < 2**20:
        longest = int((longest if kind == "linear" else original or longest) * factor)
    elif kind in ("longrope", "su"):
        longest += original or 0
    return longest * (_IMAGE_POSITIONS if "mrope_section" in scaling else 1)


def _width(config: Mapping[str, Any], scaling: Mapping[str, Any], head_width: int) -> int:
    """Numbers of a row; only a part of each head may be turned."""
    for stated in (config.get("qk_rope_head_dim"), config.get("rotary_dim")):
        if number := _number(stated):
            return number
    for share in (
        scaling.get("partial_rotary_factor"),
        config.get("partial_rotary_factor"),
        config.get("rotary_pct"),
    ):
        if isinstance(share, int | float) and 0 < share <= 1:
            return int(head_width * share)
    return head_width


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
