"""Every part of a small model, added up by hand from the modules of huggingface/transformers and vllm-project/vllm.

This holds families for whose models no exact count of parameters was seen published (test_published.py has the
others): two layers of width 64, four heads of 16, two key and value heads, an inner width of 96, a vocabulary of 100.
"""

from __future__ import annotations

import pytest

from shipfit.models import ModelFacts, Split
from shipfit.models.architectures import read_config

SMALL = {
    "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "intermediate_size": 96, "vocab_size": 100, "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip
EMBEDDING = 100 * 64
ATTENTION = 64 * 64 + 2 * 64 * 32 + 64 * 64
ATTENTION_BIASES = 64 + 2 * 32 + 64
LAYER_NORM = 2 * 64  # with a bias; others have a weight only
STATE = {"mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 8}
MAMBA = (
    64 * 2 * 128  # in
    + 128 * 4 + 128  # convolution
    + 128 * (8 + 2 * 16)  # time step and both projections of the state
    + 8 * 128 + 128  # time step out
    + 128 * 16 + 128  # A and D
    + 128 * 64  # out
)  # fmt: skip
MAMBA_2 = (
    64 * (2 * 128 + 2 * 16 + 8)  # in: gate, inner, both projections of the state, time steps of 8 heads
    + (128 + 2 * 16) * 4 + (128 + 2 * 16)  # convolution
    + 3 * 8  # A, D and the time steps' bias
    + 128  # norm
    + 128 * 64  # out
)  # fmt: skip
HYBRID_STATE = {"mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_n_heads": 8, "mamba_n_groups": 1,
                "mamba_d_head": 16}  # fmt: skip


def gated(width: int) -> int:
    """Gate, up and down."""
    return 3 * 64 * width


def facts_of(architecture: str, **fields: object) -> ModelFacts:
    return read_config(SMALL | {"architectures": [architecture]} | fields, "m", "config.json")


CASES = {
    "CohereForCausalLM": (
        {"use_qk_norm": True, "tie_word_embeddings": True},
        EMBEDDING + 64 + 2 * (ATTENTION + (4 + 2) * 16 + gated(96) + 64),
    ),
    "Cohere2ForCausalLM": (
        {"sliding_window": 64, "tie_word_embeddings": True},
        EMBEDDING + 64 + 2 * (ATTENTION + gated(96) + 64),
    ),
    "ExaoneForCausalLM": ({"num_layers": 2}, 2 * EMBEDDING + 64 + 2 * (ATTENTION + gated(96) + 2 * 64)),
    "Exaone4ForCausalLM": ({}, 2 * EMBEDDING + 64 + 2 * (ATTENTION + 2 * 16 + gated(96) + 2 * 64)),
    "BaichuanForCausalLM": ({"num_key_value_heads": 4}, 2 * EMBEDDING + 64 + 2 * (4 * 64 * 64 + gated(96) + 2 * 64)),
    "OlmoForCausalLM": ({}, 2 * EMBEDDING + 2 * (ATTENTION + gated(96))),  # its norms have no weights
    "Ernie4_5ForCausalLM": ({}, 2 * EMBEDDING + 64 + 2 * (ATTENTION + gated(96) + 2 * 64)),
    "Ernie4_5_MoeForCausalLM": (
        {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32, "moe_num_shared_experts": 2,
         "moe_layer_start_index": 1, "moe_layer_end_index": 1, "moe_layer_interval": 1},
        2 * EMBEDDING + 64 + 2 * (ATTENTION + 2 * 64) + gated(96) + 4 * gated(32) + gated(2 * 32) + 4 * 64 + 4,
    ),
    "FalconForCausalLM": (  # one key and value head, and an inner width of four times the model's
        {"multi_query": True, "tie_word_embeddings": True},
        EMBEDDING + LAYER_NORM + 2 * ((64 + 2 * 16) * 64 + 64 * 64 + 2 * 64 * 256 + LAYER_NORM),
    ),
    "Starcoder2ForCausalLM": (
        {"use_bias": True},
        2 * EMBEDDING + LAYER_NORM
        + 2 * (ATTENTION + ATTENTION_BIASES + 2 * 64 * 96 + 96 + 64 + 2 * LAYER_NORM),
    ),
    "GPTBigCodeForCausalLM": (  # one key and value head; learned positions
        {"n_layer": 2, "n_embd": 64, "n_head": 4, "n_inner": 96, "n_positions": 128, "multi_query": True,
         "tie_word_embeddings": True},
        EMBEDDING + 128 * 64 + LAYER_NORM
        + 2 * (96 * 64 + 96 + 64 * 64 + 64 + 2 * 64 * 96 + 96 + 64 + 2 * LAYER_NORM),
    ),
    "Phi3SmallForCausalLM": (
        {"ff_intermediate_size": 96, "tie_word_embeddings": True},
        EMBEDDING + LAYER_NORM
        + 2 * (ATTENTION + ATTENTION_BIASES + gated(96) + 2 * 96 + 64 + 2 * LAYER_NORM),
    ),
    "PhiMoEForCausalLM": (
        {"num_local_experts": 4, "num_experts_per_tok": 2, "lm_head_bias": True, "attention_bias": True},
        2 * EMBEDDING + 100 + LAYER_NORM
        + 2 * (ATTENTION + ATTENTION_BIASES + 4 * gated(96) + 4 * 64 + 2 * LAYER_NORM),
    ),
    "DbrxForCausalLM": (
        {"n_layers": 2, "d_model": 64, "n_heads": 4, "max_seq_len": 128, "attn_config": {"kv_n_heads": 2},
         "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2}},
        2 * EMBEDDING + 64 + 2 * (ATTENTION + 4 * gated(32) + 4 * 64 + 2 * 64),
    ),
    "Dots1ForCausalLM": (
        {"n_routed_experts": 4, "n_shared_experts": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
         "first_k_dense_replace": 1},
        2 * EMBEDDING + 64 + 2 * (ATTENTION + 2 * 16 + 2 * 64)
        + gated(96) + 4 * gated(32) + gated(2 * 32) + 4 * 64 + 4,
    ),
    "BailingMoeForCausalLM": (
        {"num_experts": 4, "num_shared_experts": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
        2 * EMBEDDING + 64 + 2 * (ATTENTION + 2 * 64 + 4 * gated(32) + gated(2 * 32) + 4 * 64),
    ),
    "HunYuanMoEV1ForCausalLM": (  # the shared expert is as wide as a dense layer
        {"num_experts": 4, "moe_topk": [2, 2], "moe_intermediate_size": [32, 32], "num_shared_expert": [1, 1],
         "use_qk_norm": True, "tie_word_embeddings": True},
        EMBEDDING + 64 + 2 * (ATTENTION + 2 * 16 + 2 * 64 + 4 * gated(32) + gated(96) + 4 * 64),
    ),
    "JambaForCausalLM": (  # a state and experts, then attention and none
        STATE | {"attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 0, "expert_layer_period": 2,
                 "num_experts": 4, "num_experts_per_tok": 2},
        2 * EMBEDDING + 64 + 4 * 64 + MAMBA + (8 + 2 * 16) + 4 * gated(96) + 4 * 64 + ATTENTION + gated(96),
    ),
    "FalconMambaForCausalLM": (
        {"intermediate_size": 128, "state_size": 16, "conv_kernel": 4, "time_step_rank": 8, "use_conv_bias": True},
        2 * EMBEDDING + 64 + 2 * (MAMBA + 64),
    ),
    "Mamba2ForCausalLM": (
        {"num_heads": 8, "n_groups": 1, "state_size": 16, "conv_kernel": 4, "use_conv_bias": True},
        2 * EMBEDDING + 64 + 2 * (MAMBA_2 + 64),
    ),
    "BambaForCausalLM": (
        HYBRID_STATE | {"attn_layer_indices": [1]},
        2 * EMBEDDING + 64 + 4 * 64 + MAMBA_2 + ATTENTION + 2 * gated(96),
    ),
    "GraniteMoeHybridForCausalLM": (
        HYBRID_STATE | {"layer_types": ["mamba", "attention"], "num_local_experts": 4, "num_experts_per_tok": 2,
                        "shared_intermediate_size": 32},
        2 * EMBEDDING + 64 + 4 * 64 + MAMBA_2 + ATTENTION + 2 * (4 * gated(96) + 4 * 64 + gated(32)),
    ),
    "MiniMaxM1ForCausalLM": (  # linear attention has a gate, as wide as its heads, and a norm
        {"attn_type_list": [0, 1], "num_local_experts": 4, "num_experts_per_tok": 2},
        2 * EMBEDDING + 64 + 4 * 64 + ATTENTION + (3 * 64 * 64 + 64 * 64 + 64 + 64 * 64)
        + 2 * (4 * gated(96) + 4 * 64),
    ),
}  # fmt: skip

VISION = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "intermediate_size": 48,
    "image_size": 28,
    "patch_size": 14,
}
VISION_LAYER = 4 * (32 * 32 + 32) + 2 * 32 * 48 + 48 + 32 + 4 * 32  # with biases; two norms
TOWERS = {
    "InternVLChatModel": (  # a class token beside 4 patches, two scales a layer, 4 patches merged into one
        "llm_config",
        {"downsample_ratio": 0.5, "vision_config": VISION | {"norm_type": "layer_norm", "qkv_bias": True}},
        32 + 3 * 14 * 14 * 32 + 32 + 5 * 32 + VISION_LAYER + 2 * 32
        + 2 * 128 + 128 * 64 + 64 + 64 * 64 + 64,
    ),
    "Idefics3ForConditionalGeneration": (  # 4 patches merged into one
        "text_config",
        {"scale_factor": 2, "vision_config": VISION},
        3 * 14 * 14 * 32 + 32 + 4 * 32 + VISION_LAYER + 2 * 32 + 128 * 64,
    ),
    "Glm4vForConditionalGeneration": (  # layers as wide inside as the language model, the merger as the vision's
        "text_config",
        {"vision_config": {"depth": 1, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 64,
                           "image_size": 28, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}},
        2 * 3 * 14 * 14 * 32 + 32 + 4 * 32 + 2 * 32 + (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32)
        + 4 * 32 * 64 + 64 + 64 * 64 + 2 * 64 + 3 * 64 * 48,
    ),
}  # fmt: skip


@pytest.mark.parametrize("architecture", TOWERS)
def test_the_parts_of_a_small_tower_add_up(architecture: str) -> None:
    section, fields, parameters = TOWERS[architecture]
    language = SMALL | {"architectures": ["LlamaForCausalLM"]}
    facts = read_config({"architectures": [architecture], section: language} | fields, "m", "config.json")
    assert parameters == sum(w.parameters for w in facts.weights if w.name.startswith("vision."))


@pytest.mark.parametrize("architecture", CASES)
def test_the_parts_of_a_small_model_add_up(architecture: str) -> None:
    fields, parameters = CASES[architecture]
    assert parameters == facts_of(architecture, **fields).parameters


SPLITS = {
    "attention.query": {Split.OUTPUTS},
    "attention.key_value": {Split.KV_HEADS},
    "attention.output": {Split.INPUTS},
    "mlp.gate_up": {Split.OUTPUTS},
    "mlp.down": {Split.INPUTS},
    "router": {Split.NONE},
    "norms": {Split.NONE},
    "embedding": {Split.OUTPUTS},
    "head": {Split.OUTPUTS},
}


@pytest.mark.parametrize("architecture", CASES)
def test_the_parts_are_divided_as_megatron_divides_them(architecture: str) -> None:
    facts = facts_of(architecture, **CASES[architecture][0])
    matrices = [weight for weight in facts.weights if weight.columns > 1 and weight.name in SPLITS]
    assert matrices
    for weight in matrices:
        assert weight.split in SPLITS[weight.name], weight.name
