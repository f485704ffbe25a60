"""Which layers look back a window of tokens only, and what each kind of layer keeps.

vllm-project/vllm, vllm/engine/arg_utils.py (create_engine_config): without ``layer_types``, a ``sliding_window`` holds
for every layer; models that alternate get their list from the configuration's class in huggingface/transformers.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.architectures.parts import split_layers
from shipfit.models.facts import CacheKind

KINDS = ("full_attention", "sliding_attention", "chunked_attention")
"""What ``layer_types`` may call layers with keys and values."""


def caches(draft: Draft, full_every: int = 0) -> None:
    """Adds what layers of windowed and of full attention keep.

    Args:
        draft: where to.
        full_every: which layer is full where the configuration does not list them; 0: each alike.
    """
    sliding, full = sliding_layers(draft, full_every)
    draft.cache(CacheKind.FULL, full)
    if sliding:
        draft.cache(CacheKind.SLIDING, sliding, window=draft.fields.number("sliding_window"))


def sliding_layers(draft: Draft, full_every: int = 0) -> tuple[Layers, Layers]:
    """The layers that look back a window, and the others.

    Raises:
        InputError: a list that does not name every layer, or a kind that is not known.
    """
    fields, layers = draft.fields, draft.layers
    window = fields.number("sliding_window", default=0, zero=True)
    longest = fields.number("max_position_embeddings", default=window + 1)
    if not window or window >= longest or not fields.flag("use_sliding_window", default=True):
        return (), draft.every
    kinds = fields.texts("layer_types", layers, KINDS)
    if kinds is not None:
        return split_layers(layers, {n for n, kind in enumerate(kinds) if kind == KINDS[1]})
    if fields.has("max_window_layers"):  # Qwen 2: the first of them look back all the way
        return split_layers(layers, set(range(fields.number("max_window_layers", zero=True), layers)))
    pattern = fields.raw("sliding_window_pattern")
    if isinstance(pattern, str) and {*pattern} == {
        *"LG"
    }:  # EXAONE 4: local or global, over and over; the last global
        local = {n for n in range(layers - 1) if pattern[n % len(pattern)] == "L"}
        return split_layers(layers, local)
    every = fields.number("sliding_window_pattern", "_sliding_window_pattern", default=full_every, zero=True)
    return split_layers(layers, {n for n in range(layers) if not every or (n + 1) % every})
