"""The towers of Qwen2-VL, Qwen2.5-VL, Qwen3-VL and Qwen3.5.

vllm-project/vllm, vllm/model_executor/models: qwen2_vl.py, qwen2_5_vl.py, qwen3_vl.py.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.towers.parts import Encoder, block, encoder, linear, vector
from shipfit.models.facts import Split


def qwen2_vl(draft: Draft, vision: Fields) -> None:
    """Qwen2-VL's tower."""
    width = vision.number("embed_dim", default=1280)
    inner = width * vision.number("mlp_ratio", default=4)
    prefix = "visual"
    linear(draft, "patches", (width, _patch(vision, "in_channels", 14)), f"{prefix}.patch_embed")
    depth = vision.number("depth", default=32)
    encoder(draft, Encoder(f"{prefix}.blocks", depth, width, inner))
    _qwen_merger(draft, vision, f"{prefix}.merger", width, 2 * width, draft.hidden)


def qwen2_5_vl(draft: Draft, vision: Fields) -> None:
    """Qwen2.5-VL's tower."""
    width, prefix = vision.number("hidden_size", default=1280), "visual"
    linear(draft, "patches", (width, _patch(vision, "in_chans", 14)), f"{prefix}.patch_embed")
    depth, inner = vision.number("depth", default=32), vision.number("intermediate_size", default=3420)
    blocks = Encoder(f"{prefix}.blocks", depth, width, inner, gated=True, norm_bias=False)
    encoder(draft, blocks)
    out = vision.number("out_hidden_size", default=draft.hidden)
    _qwen_merger(draft, vision, f"{prefix}.merger", width, width, out)


def qwen3_vl(draft: Draft, vision: Fields) -> None:
    """Qwen3-VL's tower, and Qwen3.5's: some blocks' outputs go into the first decoder layers too."""
    width, prefix = vision.number("hidden_size", default=1152), "model.visual"
    linear(draft, "patches", (width, _patch(vision, "in_channels", 16)), f"{prefix}.patch_embed", bias=True)
    positions = vision.number("num_position_embeddings", default=2304)
    linear(draft, "positions", (positions, width), f"{prefix}.pos_embed")
    depth, inner = vision.number("depth", default=27), vision.number("intermediate_size", default=4304)
    encoder(draft, Encoder(f"{prefix}.blocks", depth, width, inner))
    out = vision.number("out_hidden_size", default=draft.hidden)
    _qwen_merger(draft, vision, f"{prefix}.merger", width, 2 * width, out)
    deep = vision.raw("deepstack_visual_indexes")
    merged = width * vision.number("spatial_merge_size", default=2) ** 2
    for number in range(len(deep) if isinstance(deep, list) else 0):
        name = f"{prefix}.deepstack_merger_list.{number}"
        _qwen_merger(draft, vision, name, width, 2 * merged, out)


def _qwen_merger(draft: Draft, vision: Fields, module: str, width: int, norm: int, out: int) -> None:
    """A projector that merges neighbouring patches: split between GPUs like a feed-forward network."""
    merged = width * vision.number("spatial_merge_size", default=2) ** 2
    vector(draft, "merger_norm", norm, module)
    block(draft, "merger.up", (merged, merged), Split.OUTPUTS, module, bias=True)
    block(draft, "merger.down", (out, merged), Split.INPUTS, module, bias=True)


def _patch(vision: Fields, channels: str, side: int) -> int:
    """Numbers of a patch: its colours over so many frames."""
    frames = vision.number("temporal_patch_size", default=2)
    return vision.number(channels, default=3) * frames * vision.number("patch_size", default=side) ** 2
