"""The tower of Kimi (MoonViT), and that of MiniMax M3.

vllm-project/vllm, vllm/model_executor/models: moonvit.py, kimi_vl.py, kimi_k25_vit.py; vllm/models/minimax_m3/common/
vision_tower.py.
"""

from __future__ import annotations

from reprlib import repr as shown

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.towers.parts import Encoder, block, encoder, linear, vector
from shipfit.models.facts import Split


def moonvit(draft: Draft, vision: Fields) -> None:
    """MoonViT of Kimi-VL, K2.5 and K3, with their projectors."""
    width = vision.number("vt_hidden_size", "hidden_size", default=1152)
    side, prefix = vision.number("patch_size", default=14), "vision_tower"
    plain = vision.raw("norm_type") == "rmsnorm"  # K3: norms without a bias
    patch_bias = vision.flag("patch_embed_proj_bias", default=True)
    linear(draft, "patches", (width, 3 * side**2), f"{prefix}.patch_embed", bias=patch_bias)
    rows = vision.number("init_pos_emb_height", default=64) * vision.number("init_pos_emb_width", default=64)
    linear(draft, "positions", (rows, width), f"{prefix}.patch_embed")
    encoder(
        draft,
        Encoder(
            f"{prefix}.encoder.blocks",
            vision.number("vt_num_hidden_layers", "num_hidden_layers", default=27),
            width,
            vision.number("vt_intermediate_size", "intermediate_size", default=4304),
            vision.number("qkv_hidden_size", default=width),
            bias=vision.flag("linear_bias", default=True),
            norm_bias=not plain,
        ),
    )
    vector(draft, "norm", width if plain else 2 * width, f"{prefix}.encoder.final_layernorm")
    projector, merged = "multi_modal_projector", width * _area(vision)
    later = vision.raw("mm_projector_type") == "patchmergerv2"
    vector(draft, "norm", draft.hidden if later else 2 * width, projector)
    linear(draft, "projector.in", (merged, merged), f"{projector}.linear_1", bias=not later)
    linear(draft, "projector.out", (draft.hidden, merged), f"{projector}.linear_2", bias=not later)


def _area(vision: Fields) -> int:
    """Patches that become one token."""
    kernel = vision.raw("merge_kernel_size") or [2, 2]
    if not isinstance(kernel, list) or len(kernel) != 2:
        vision.refuse("merge_kernel_size", f"is {shown(kernel)}, not two numbers")
    return vision.checked("merge_kernel_size", kernel[0]) * vision.checked("merge_kernel_size", kernel[1])


def minimax_m3(draft: Draft, vision: Fields) -> None:
    """MiniMax M3's tower, projector and merger (vllm/models/minimax_m3/common/vision_tower.py)."""
    width, prefix = vision.number("hidden_size", default=1280), "vision_tower"
    outer = draft.outer
    merging = vision.section("img_token_compression_config")
    pixels = (
        3 * merging.number("temporal_patch_size", default=2) * vision.number("patch_size", default=14) ** 2
    )
    linear(draft, "patches", (width, pixels), f"{prefix}.embeddings")
    vector(draft, "norm", 2 * width, f"{prefix}.pre_layrnorm")
    blocks = vision.number("num_hidden_layers", default=32)
    inner = vision.number("intermediate_size", default=5120)
    encoder(draft, Encoder(f"{prefix}.encoder.layers", blocks, width, inner))
    middle = outer.number("projector_hidden_size", default=draft.hidden)
    merged = draft.hidden * merging.number("spatial_merge_size", default=2) ** 2
    for module, into in (("multi_modal_projector", width), ("patch_merge_mlp", merged)):
        block(draft, "projector.up", (middle, into), Split.OUTPUTS, module, bias=True)
        block(draft, "projector.down", (draft.hidden, middle), Split.INPUTS, module, bias=True)
