"""The longest context that a configuration allows.

vllm-project/vllm, vllm/config/model.py (_get_and_verify_max_len) and
vllm/transformers_utils/model_arch_config_convertor.py (derive_max_model_len_and_key).
"""

from __future__ import annotations

from collections.abc import Mapping

from shipfit.models.architectures.draft import Draft
from shipfit.models.facts import CacheKind

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
_SCALED_ALREADY = ("default", "llama3", "longrope", "mrope", "su", "yarn", "deepseek_yarn", "proportional")
"""Kinds of position scaling whose configurations state the scaled length."""
_WITHOUT_END = 2**20
"""Tokens that models are planned for whose layers all keep a state: nothing in them ends anywhere."""


def longest_context(draft: Draft, language: str) -> int:
    """Tokens of the longest context.

    Args:
        draft: the model.
        language: the architecture of its language model.

    Raises:
        InputError: the configuration does not say it.
    """
    fields = draft.fields
    keys = ("model_max_length", *_KEYS) if language.startswith("Cohere") else _KEYS
    endless = all(cache.kind is CacheKind.STATE for cache in draft.caches)
    longest = fields.number(*keys, default=_WITHOUT_END if endless else None)
    scaling = fields.raw("rope_parameters") or fields.raw("rope_scaling")
    if not isinstance(scaling, Mapping) or language.startswith("Gemma3"):
        return longest
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    if kind in _SCALED_ALREADY:
        return longest
    section = fields.section("rope_parameters", "rope_scaling")
    return int(longest * max(section.share("factor") or 1, 1))
