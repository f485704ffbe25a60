"""The towers of InternVL (InternViT), GLM-4V and SmolVLM (SigLIP).

vllm-project/vllm, vllm/model_executor/models: intern_vit.py, internvl.py, glm4_1v.py, idefics3.py.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.towers.google import siglip
from shipfit.models.architectures.towers.parts import Encoder, block, encoder, linear, vector
from shipfit.models.facts import Split


def intern_vit(draft: Draft, vision: Fields) -> None:
    """InternViT with InternVL's projector: each part of a block has a scale for every channel."""
    width, prefix = vision.number("hidden_size", default=1024), "vision_model"
    side = vision.number("patch_size", default=14)
    linear(draft, "patches", (width, 3 * side**2), f"{prefix}.embeddings", bias=True)
    positions = (vision.number("image_size", default=448) // side) ** 2 + 1
    linear(draft, "positions", (positions + 1, width), f"{prefix}.embeddings")  # one more for the class
    blocks = vision.number("num_hidden_layers", default=24)
    inner = vision.number("intermediate_size", default=4096)
    modules = f"{prefix}.encoder.layers"
    spec = Encoder(
        modules,
        blocks,
        width,
        inner,
        qkv_bias=vision.flag("qkv_bias", default=vision.flag("attention_bias", default=True)),
        norm_bias=vision.raw("norm_type") != "rms_norm",
        head_norms=2 * width if vision.flag("qk_normalization") or vision.flag("use_qk_norm") else 0,
    )
    encoder(draft, spec)
    vector(draft, "scales", 2 * width, f"{modules}.*", blocks)
    ratio = draft.outer.share("downsample_ratio") or 0.5
    merged = width * max(1, int(1 / ratio)) ** 2
    vector(draft, "norm", 2 * merged, "mlp1.0")
    linear(draft, "projector.in", (draft.hidden, merged), "mlp1.1", bias=True)
    linear(draft, "projector.out", (draft.hidden, draft.hidden), "mlp1.3", bias=True)


def glm4v(draft: Draft, vision: Fields) -> None:
    """GLM-4V's tower: patches are merged by a convolution, then by a gated network."""
    width, prefix = vision.number("hidden_size", default=1536), "model.visual"
    side, frames = vision.number("patch_size", default=14), vision.number("temporal_patch_size", default=2)
    linear(draft, "patches", (width, 3 * frames * side**2), f"{prefix}.patch_embed", bias=True)
    positions = (vision.number("image_size", default=336) // side) ** 2
    linear(draft, "positions", (positions, width), f"{prefix}.embeddings")
    out = vision.number("out_hidden_size", default=draft.hidden)
    depth = vision.number("depth", "num_hidden_layers", default=24)
    encoder(draft, Encoder(f"{prefix}.blocks", depth, width, out, gated=True, bias=False, norm_bias=False))
    vector(draft, "norm", width, f"{prefix}.norms", 2)
    area = vision.number("spatial_merge_size", default=2) ** 2
    linear(draft, "merger.patches", (out, width * area), f"{prefix}.downsample", bias=True)
    inner, merger = vision.number("intermediate_size", default=13696), f"{prefix}.merger"
    block(draft, "merger.in", (out, out), Split.OUTPUTS, merger)
    vector(draft, "merger.norm", 2 * out, merger)
    block(draft, "merger.up", (inner, out), Split.OUTPUTS, merger, each=2)
    block(draft, "merger.down", (out, inner), Split.INPUTS, merger)


def idefics3(draft: Draft, vision: Fields) -> None:
    """SigLIP with the projector of Idefics 3 and SmolVLM."""
    width = siglip(draft, vision, "model.vision_model", side=32, image=224, blocks=12, inner=3072)
    scale = draft.outer.number("scale_factor", default=2)
    linear(draft, "projector", (draft.hidden, width * scale**2), "model.connector")
