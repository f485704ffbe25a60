"""The architectures whose layers are all alike, or with and without experts: how each differs from Llama.

Named as in vllm-project/vllm (vllm/model_executor/models/registry.py); each row from the module that is named there.
"""

from __future__ import annotations

from dataclasses import replace

from shipfit.models.architectures.decoder import SHARED, Decoder, Sparse
from shipfit.models.architectures.parts import one_tensor

_FOUR_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
_AFTER = ("post_attention_layernorm", "post_feedforward_layernorm")
_ONE_GATE_UP = ("mlp.gate_up_proj", "mlp.gate_up_proj", "mlp.down_proj")
_BLOCK_EXPERTS = (
    "block_sparse_moe.experts.*.w1",
    "block_sparse_moe.experts.*.w3",
    "block_sparse_moe.experts.*.w2",
)
_ONE_EXPERTS = (
    "block_sparse_moe.input_linear",
    "block_sparse_moe.input_linear",
    "block_sparse_moe.output_linear",
)

_LLAMA = Decoder()
_QWEN3 = Decoder(head_norms="width")
_GEMMA2 = Decoder(norms=_FOUR_NORMS, full_every=2)
_COMMAND = Decoder(norms=("input_layernorm",), head_norms="all", head_norm_rule="use_qk_norm", full_every=4)
_MIXTRAL = Decoder(
    sparse=Sparse(
        "num_local_experts", "intermediate_size", router="block_sparse_moe.gate", modules=_BLOCK_EXPERTS
    )
)
_GRANITE_EXPERTS = Sparse(
    "num_local_experts", "intermediate_size", router="block_sparse_moe.router.layer", modules=_ONE_EXPERTS
)
_GRANITE_SHARED = replace(
    _GRANITE_EXPERTS,
    shared="shared_intermediate_size",
    shared_modules=("shared_mlp.input_linear", "shared_mlp.input_linear", "shared_mlp.output_linear"),
)
_GLM_MOE = Decoder(
    out_bias=False,
    head_norms="width",
    head_norm_rule="use_qk_norm",
    sparse=Sparse(
        "n_routed_experts",
        correction="mlp.gate.e_score_correction_bias",
        shared="moe_intermediate_size",
        shared_count="n_shared_experts",
        router_bytes=4,
    ),
)

DECODERS: dict[str, Decoder] = {
    "LlamaForCausalLM": _LLAMA,
    "LLaMAForCausalLM": _LLAMA,
    "AquilaForCausalLM": _LLAMA,
    "AquilaModel": _LLAMA,
    "IQuestCoderForCausalLM": _LLAMA,
    "InternLMForCausalLM": Decoder(qkv_bias="bias", out_bias="bias"),
    "InternLM2ForCausalLM": Decoder(
        attention=one_tensor("attention.wqkv", "attention.wo"),
        feed_forward=("feed_forward.w1", "feed_forward.w3", "feed_forward.w2"),
        norms=("attention_norm", "ffn_norm"),
        qkv_bias="bias",
        out_bias="bias",
        embedding="model.tok_embeddings",
        head="output",
    ),
    "InternLM3ForCausalLM": Decoder(qkv_bias="qkv_bias", out_bias="bias", mlp_bias="bias"),
    "MistralForCausalLM": _LLAMA,
    "Ministral3ForCausalLM": _LLAMA,
    "MinistralForCausalLM": _LLAMA,
    "GraniteForCausalLM": _LLAMA,
    "SmolLM3ForCausalLM": _LLAMA,
    "TeleChat3ForCausalLM": _LLAMA,
    "SolarForCausalLM": _LLAMA,
    "XverseForCausalLM": _LLAMA,
    "ExaoneForCausalLM": Decoder(
        attention=(
            "attn.attention.q_proj",
            "attn.attention.k_proj",
            "attn.attention.v_proj",
            "attn.attention.out_proj",
        ),
        feed_forward=("mlp.c_fc_0", "mlp.c_fc_1", "mlp.c_proj"),
        norms=("ln_1", "ln_2"),
        embedding="transformer.wte",
        last_norm="transformer.ln_f",
    ),
    "Exaone4ForCausalLM": Decoder(norms=_AFTER, head_norms="width"),
    "ExaoneMoeForCausalLM": Decoder(
        head_norms="width",
        sparse=Sparse(
            correction="mlp.gate.e_score_correction_bias",
            shared="moe_intermediate_size",
            shared_count="num_shared_experts",
        ),
    ),
    "BaichuanForCausalLM": Decoder(attention=one_tensor("self_attn.W_pack", "self_attn.o_proj")),
    "BaiChuanForCausalLM": Decoder(attention=one_tensor("self_attn.W_pack", "self_attn.o_proj")),
    "Qwen2ForCausalLM": Decoder(qkv_bias=True, out_bias=False),
    "Qwen3ForCausalLM": _QWEN3,
    "MiMoForCausalLM": Decoder(qkv_bias=True, out_bias=False),
    "SeedOssForCausalLM": Decoder(out_bias="attention_out_bias"),
    "OrionForCausalLM": Decoder(norm_bias=True),
    "MiniCPMForCausalLM": _LLAMA,
    "GemmaForCausalLM": _LLAMA,
    "Gemma2ForCausalLM": _GEMMA2,
    "Gemma3ForCausalLM": replace(_GEMMA2, head_norms="width", full_every=6),
    "GlmForCausalLM": Decoder(feed_forward=_ONE_GATE_UP, out_bias=False),
    "Glm4ForCausalLM": Decoder(
        feed_forward=_ONE_GATE_UP,
        norms=(
            "input_layernorm",
            "post_attention_layernorm",
            "post_self_attn_layernorm",
            "post_mlp_layernorm",
        ),
        out_bias=False,
    ),
    "Phi3ForCausalLM": Decoder(
        attention=one_tensor("self_attn.qkv_proj", "self_attn.o_proj"), feed_forward=_ONE_GATE_UP
    ),
    "PhiForCausalLM": Decoder(
        attention=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.dense"),
        feed_forward=("mlp.fc1", "mlp.fc2"),
        norms=("input_layernorm",),
        norm_bias=True,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        head_bias=True,
        last_norm="model.final_layernorm",
    ),
    "GPTNeoXForCausalLM": Decoder(
        attention=one_tensor("attention.query_key_value", "attention.dense"),
        feed_forward=("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
        norm_bias=True,
        mlp_bias=True,
        embedding="gpt_neox.embed_in",
        head="embed_out",
        last_norm="gpt_neox.final_layer_norm",
    ),
    "Starcoder2ForCausalLM": Decoder(
        feed_forward=("mlp.c_fc", "mlp.c_proj"),
        norm_bias=True,
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
    ),
    "StableLmForCausalLM": Decoder(norm_bias=True, qkv_bias="use_qkv_bias", out_bias=False),
    "StableLMEpochForCausalLM": Decoder(norm_bias=True, qkv_bias="use_qkv_bias", out_bias=False),
    "NemotronForCausalLM": Decoder(feed_forward=("mlp.up_proj", "mlp.down_proj"), norm_bias=True),
    "ArceeForCausalLM": Decoder(feed_forward=("mlp.up_proj", "mlp.down_proj")),
    "ApertusForCausalLM": Decoder(
        feed_forward=("mlp.up_proj", "mlp.down_proj"),
        norms=("attention_layernorm", "feedforward_layernorm"),
        head_norms="width",
    ),
    "OlmoForCausalLM": Decoder(norms=(), last_norm=""),
    "Olmo2ForCausalLM": Decoder(norms=_AFTER, head_norms="all"),
    "Olmo3ForCausalLM": Decoder(norms=_AFTER, head_norms="all", full_every=4),
    "CohereForCausalLM": replace(_COMMAND, full_every=0),
    "Cohere2ForCausalLM": _COMMAND,
    "Ernie4_5ForCausalLM": Decoder(qkv_bias="use_bias", out_bias="use_bias", mlp_bias="use_bias"),
    "HunYuanDenseV1ForCausalLM": Decoder(
        head_norms="width",
        head_norm_rule="use_qk_norm",
        head_norm_modules=("self_attn.query_layernorm", "self_attn.key_layernorm"),
    ),
    # With experts.
    "MixtralForCausalLM": _MIXTRAL,
    "PhiMoEForCausalLM": replace(_MIXTRAL, norm_bias=True, qkv_bias=True, out_bias=True, head_bias=True),
    "GraniteMoeForCausalLM": Decoder(sparse=_GRANITE_EXPERTS),
    "GraniteMoeSharedForCausalLM": Decoder(sparse=_GRANITE_SHARED),
    "GptOssForCausalLM": Decoder(
        qkv_bias=True,
        out_bias=True,
        sinks=True,
        full_every=2,
        sparse=Sparse(
            "num_local_experts",
            "intermediate_size",
            router="mlp.router",
            modules=("mlp.experts.gate_up_proj", "mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
            bias=True,
        ),
    ),
    "Qwen2MoeForCausalLM": Decoder(
        qkv_bias=True,
        out_bias=False,
        sparse=Sparse(
            shared="shared_expert_intermediate_size",
            shared_modules=tuple(name.replace("experts", "expert") for name in SHARED),
            shared_gate="mlp.shared_expert_gate",
        ),
    ),
    "Qwen3MoeForCausalLM": replace(_QWEN3, sparse=Sparse()),
    "OlmoeForCausalLM": Decoder(head_norms="all", sparse=Sparse(width="intermediate_size")),
    "MiniMaxM2ForCausalLM": Decoder(
        head_norms="all",
        head_norm_rule="use_qk_norm",
        sparse=Sparse(
            "num_local_experts",
            "intermediate_size",
            router="block_sparse_moe.gate",
            modules=_BLOCK_EXPERTS,
            correction="block_sparse_moe.e_score_correction_bias",
            correction_rule="use_routing_bias",
            router_bytes=4,
        ),
    ),
    "Glm4MoeForCausalLM": _GLM_MOE,
    "Dots1ForCausalLM": Decoder(
        out_bias=False,
        head_norms="width",
        sparse=Sparse(
            "n_routed_experts",
            correction="mlp.gate.e_score_correction_bias",
            shared="moe_intermediate_size",
            shared_count="n_shared_experts",
        ),
    ),
    "Ernie4_5_MoeForCausalLM": Decoder(
        qkv_bias="use_bias",
        out_bias=False,
        mlp_bias="use_bias",
        sparse=Sparse(
            "moe_num_experts",
            chosen="moe_k",
            correction="mlp.moe_statics.e_score_correction_bias",
            shared="moe_intermediate_size",
            shared_count="moe_num_shared_experts",
            router_bytes=4,
        ),
    ),
    "BailingMoeForCausalLM": Decoder(
        attention=one_tensor("attention.query_key_value", "attention.dense"),
        qkv_bias="use_qkv_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        embedding="model.word_embeddings",
        sparse=Sparse(shared="moe_intermediate_size", shared_count="num_shared_experts"),
    ),
    "BailingMoeV2ForCausalLM": Decoder(
        attention=one_tensor("attention.query_key_value", "attention.dense"),
        qkv_bias="use_qkv_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        head_norms="width",
        head_norm_rule="use_qk_norm",
        head_norm_modules=("attention.query_layernorm", "attention.key_layernorm"),
        embedding="model.word_embeddings",
        sparse=Sparse(
            correction="mlp.gate.expert_bias",
            correction_rule="moe_router_enable_expert_bias",
            shared="moe_intermediate_size",
            shared_count="num_shared_experts",
        ),
    ),
    "HunYuanMoEV1ForCausalLM": Decoder(
        head_norms="width",
        head_norm_rule="use_qk_norm",
        head_norm_modules=("self_attn.query_layernorm", "self_attn.key_layernorm"),
        sparse=Sparse(
            chosen="moe_topk",
            router="mlp.gate.wg",
            shared="intermediate_size",
            shared_count="num_shared_expert",
            shared_modules=tuple(name.replace("experts", "mlp") for name in SHARED),
        ),
    ),
}
"""By the name in ``architectures``."""
