"""The towers of Llama 4 and of Mistral Small (Pixtral).

vllm-project/vllm, vllm/model_executor/models: mllama4.py, pixtral.py, mistral3.py.
"""

from __future__ import annotations

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.towers.parts import Encoder, block, encoder, linear, vector
from shipfit.models.facts import Split


def pixtral(draft: Draft, vision: Fields) -> None:
    """Pixtral with the projector of Mistral Small 3.1."""
    width, prefix = vision.number("hidden_size", default=1024), "vision_tower"
    side = vision.number("patch_size", default=16)
    linear(draft, "patches", (width, 3 * side**2), f"{prefix}.patch_conv")
    vector(draft, "norm", width, f"{prefix}.ln_pre")
    blocks = vision.number("num_hidden_layers", default=24)
    inner = vision.number("intermediate_size", default=4096)
    encoder(
        draft,
        Encoder(
            f"{prefix}.transformer.layers", blocks, width, inner, gated=True, bias=False, norm_bias=False
        ),
    )
    outer = draft.outer
    bias = outer.flag("multimodal_projector_bias")
    merged = outer.number("spatial_merge_size", default=2) ** 2 * width
    projector = "multi_modal_projector"
    vector(draft, "norm", width, f"{projector}.norm")
    linear(draft, "merger", (width, merged), f"{projector}.patch_merger")
    block(draft, "projector.up", (draft.hidden, width), Split.OUTPUTS, f"{projector}.linear_1", bias=bias)
    square = (draft.hidden, draft.hidden)
    block(draft, "projector.down", square, Split.INPUTS, f"{projector}.linear_2", bias=bias)


def llama4(draft: Draft, vision: Fields) -> None:
    """Llama 4's tower and projector."""
    width, prefix = vision.number("hidden_size", default=1408), "vision_model"
    side = vision.number("patch_size", default=14)
    block(draft, "patches", (width, 3 * side**2), Split.OUTPUTS, f"{prefix}.patch_embedding")
    vector(draft, "class", width, f"{prefix}.class_embedding")
    patches = (vision.number("image_size", default=336) // side) ** 2 + 1
    linear(draft, "positions", (patches, width), f"{prefix}.positional_embedding_vlm")
    blocks = vision.number("num_hidden_layers", default=34)
    inner = vision.number("intermediate_size", default=5632)
    encoder(draft, Encoder(f"{prefix}.model.layers", blocks, width, inner))
    vector(draft, "norm", width, f"{prefix}.layernorm", 4)
    into = vision.number("projector_input_dim", default=4096)
    out = vision.number("projector_output_dim", default=4096)
    adapter = f"{prefix}.vision_adapter.mlp"
    block(draft, "adapter.up", (into, inner), Split.OUTPUTS, f"{adapter}.fc1")
    block(draft, "adapter.down", (out, into), Split.INPUTS, f"{adapter}.fc2")
    seen = vision.number("vision_output_dim", default=4096)
    block(draft, "projector", (draft.hidden, seen), Split.OUTPUTS, "multi_modal_projector.linear_1")
