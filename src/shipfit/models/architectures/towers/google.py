"""The towers of Gemma 3 (SigLIP) and Gemma 4.

vllm-project/vllm, vllm/model_executor/models: siglip.py, gemma3_mm.py, gemma4_mm.py; Gemma 4's own is that of
huggingface/transformers (src/transformers/models/gemma4/modeling_gemma4.py).
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.towers.parts import Encoder, encoder, linear, vector


def gemma3(draft: Draft, vision: Fields) -> None:
    """SigLIP with Gemma 3's projector."""
    width = siglip(draft, vision, "vision_tower.vision_model", side=14, image=896, blocks=27, inner=4304)
    vector(draft, "norm", width, "multi_modal_projector.mm_soft_emb_norm")
    linear(draft, "projector", (width, draft.hidden), "multi_modal_projector")


def siglip(
    draft: Draft, vision: Fields, prefix: str, *, side: int, image: int, blocks: int, inner: int
) -> int:
    """SigLIP itself; gives the width of its stream.

    Args:
        draft: where to.
        vision: its section.
        prefix: its name in a checkpoint.
        side: pixels of a patch's side, where the section does not say it; so are all further ones.
        image: pixels of an image's side.
        blocks: how many.
        inner: inner width of a feed-forward network.
    """
    width, side = vision.number("hidden_size", default=1152), vision.number("patch_size", default=side)
    linear(draft, "patches", (width, 3 * side**2), f"{prefix}.embeddings", bias=True)
    positions = (vision.number("image_size", default=image) // side) ** 2
    linear(draft, "positions", (positions, width), f"{prefix}.embeddings")
    blocks = vision.number("num_hidden_layers", default=blocks)
    inner = vision.number("intermediate_size", default=inner)
    encoder(draft, Encoder(f"{prefix}.encoder.layers", blocks, width, inner))
    vector(draft, "norm", 2 * width, f"{prefix}.post_layernorm")
    return width


def gemma4(draft: Draft, vision: Fields) -> None:
    """Gemma 4's tower and projector, which transformers runs, so that every GPU has them in full.

    Raises:
        InputError: there is a tower for sound too.
    """
    outer = draft.outer
    if outer.raw("audio_config") is not None:
        outer.refuse("audio_config", "describes a tower for sound, whose weights shipfit does not know")
    width, prefix = vision.number("hidden_size", default=768), "model.vision_tower"
    side = vision.number("patch_size", default=16)
    linear(draft, "patches", (width, 3 * side**2), f"{prefix}.patch_embedder")
    positions = vision.number("position_embedding_size", default=10240)
    linear(draft, "positions", (2 * positions, width), f"{prefix}.patch_embedder")
    head = vision.number("head_dim", default=64)
    heads = vision.number("num_attention_heads", default=12) * head
    encoder(
        draft,
        Encoder(
            f"{prefix}.encoder.layers",
            vision.number("num_hidden_layers", default=16),
            width,
            vision.number("intermediate_size", default=3072),
            heads,
            gated=True,
            bias=False,
            norms=4,
            norm_bias=False,
            head_norms=2 * head,
            split=False,
        ),
    )
    if vision.flag("standardize"):
        vector(draft, "standard", width, f"{prefix}.std", 2)
    linear(draft, "projector", (draft.hidden, width), "model.embed_vision")
