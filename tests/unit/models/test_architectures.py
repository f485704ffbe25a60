"""Parameter counts are published ones, to the last parameter; beside each group stands where they were seen.

None is an output of ours. Families without a count that was seen published are in test_shapes.py.
"""

from __future__ import annotations

import copy
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from shipfit.models import CacheKind, ModelFacts, Split, State, Weight, catalogue, load_facts
from shipfit.models.architectures import known, read_config
from shipfit.models.architectures.registry import families

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
LATENT = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}


def read(**changes: object) -> ModelFacts:
    config = {key: value for key, value in (LLAMA | changes).items() if value is not ...}
    return read_config(config, "m", "config.json")


def named(facts: ModelFacts, name: str) -> list[Weight]:
    return [weight for weight in facts.weights if weight.name == name]


def layers(facts: ModelFacts, kind: CacheKind) -> int:
    return sum(len(cache.layers) for cache in facts.caches if cache.kind is kind)


def bytes_a_token(facts: ModelFacts) -> int:
    """Bytes that a token takes in a 16-bit cache for good."""
    return sum(
        len(cache.layers) * (2 * cache.kv_heads * (cache.key_width + cache.value_width) + cache.index_bytes)
        for cache in facts.caches
        if cache.kind in (CacheKind.FULL, CacheKind.LATENT)
    )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # keras-team/keras-hub, keras_hub/src/models/*/*_presets.py
        ("bundled:gemma-3-270m", 268_098_176),
        ("google/gemma-2-27b-it", 27_227_128_320),
        ("google/gemma-2-2b-it", 2_614_341_888),
        ("google/gemma-2-9b-it", 9_241_705_984),
        ("google/gemma-2b", 2_506_172_416),
        ("google/gemma-3-1b-it", 999_885_952),
        ("google/gemma-3-27b-it", 27_432_406_640),
        ("google/gemma-3-4b-it", 4_300_079_472),
        ("google/gemma-7b", 8_537_680_896),
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("microsoft/Phi-3.5-mini-instruct", 3_821_079_552),
        ("mistralai/Mistral-7B-Instruct-v0.3", 7_248_023_552),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("mistralai/Mistral-Small-24B-Instruct-2501", 23_572_403_200),
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
        ("openai-community/gpt2", 124_439_808),
        ("openai/gpt-oss-120b", 116_829_156_672),
        ("openai/gpt-oss-20b", 20_914_757_184),
        ("Qwen/Qwen1.5-MoE-A2.7B", 14_315_784_192),
        ("Qwen/Qwen2.5-0.5B", 494_032_768),
        ("Qwen/Qwen2.5-1.5B", 1_543_714_304),
        ("Qwen/Qwen2.5-32B-Instruct", 32_763_876_352),
        ("Qwen/Qwen2.5-3B", 3_085_938_688),
        ("Qwen/Qwen2.5-72B-Instruct", 72_706_203_648),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("Qwen/Qwen3-1.7B", 1_720_574_976),
        ("Qwen/Qwen3-14B", 14_768_307_200),
        ("Qwen/Qwen3-235B-A22B", 235_093_634_560),
        ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
        ("Qwen/Qwen3-32B", 32_762_123_264),
        ("Qwen/Qwen3-4B", 4_022_468_096),
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("Qwen/Qwen3.5-27B", 27_356_728_560),
        ("Qwen/Qwen3.5-35B-A3B", 35_107_181_936),
        # the table in MrYxJ/calculate-flops.pytorch, README.md (chatglm2-6b, which has the same dimensions)
        ("bigscience/bloom-7b1", 7_069_016_064),
        ("zai-org/chatglm3-6b", 6_243_584_000),
        # the total that the hub states of the checkpoint's safetensors, as quoted in public files
        ("01-ai/Yi-1.5-34B", 34_388_917_248),
        ("allenai/OLMo-2-1124-7B", 7_298_617_344),
        ("allenai/OLMoE-1B-7B-0924", 6_919_161_856),
        ("ByteDance-Seed/Seed-OSS-36B-Instruct", 36_151_104_512),
        ("codellama/CodeLlama-34b-hf", 33_743_970_304),
        ("deepseek-ai/DeepSeek-V2", 235_741_434_880),
        ("deepseek-ai/DeepSeek-V2-Lite", 15_706_484_224),
        ("deepseek-ai/DeepSeek-V3", 671_026_419_200),
        ("EleutherAI/gpt-j-6b", 6_050_882_784),
        ("EleutherAI/pythia-6.9b", 6_857_302_016),
        ("facebook/opt-125m", 125_239_296),
        ("facebook/opt-350m", 331_196_416),
        ("google/gemma-3-12b-it", 12_187_325_040),
        ("HuggingFaceTB/SmolLM2-1.7B", 1_711_376_384),
        ("HuggingFaceTB/SmolLM3-3B", 3_075_098_624),
        ("ibm-granite/granite-3.3-8b-instruct", 8_170_864_640),
        ("internlm/internlm2_5-7b-chat", 7_737_708_544),
        ("LiquidAI/LFM2-1.2B", 1_170_340_608),
        ("meta-llama/Llama-2-70b-hf", 68_976_648_192),
        ("meta-llama/Llama-3.1-405B", 405_853_388_800),
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct", 401_583_781_376),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 108_641_793_536),
        ("microsoft/phi-2", 2_779_683_840),
        ("microsoft/phi-4", 14_659_507_200),
        ("microsoft/Phi-4-mini-instruct", 3_836_021_760),
        ("mistralai/Mistral-Large-Instruct-2407", 122_610_069_504),
        ("mistralai/Mistral-Nemo-Instruct-2407", 12_247_782_400),
        ("Qwen/Qwen2-VL-7B-Instruct", 8_291_375_616),
        ("Qwen/Qwen2.5-14B-Instruct", 14_770_033_664),
        ("Qwen/Qwen2.5-VL-32B-Instruct", 33_452_718_336),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656),
        ("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696),
        ("stabilityai/stablelm-2-1_6b", 1_644_515_328),
        ("state-spaces/mamba-2.8b-hf", 2_768_345_600),
        ("zai-org/GLM-4-9B-0414", 9_400_279_040),
        ("zai-org/glm-4-9b-chat", 9_399_951_360),
    ],
)
def test_parameters_are_exact(name: str, parameters: int) -> None:
    assert parameters == load_facts(name).parameters


@pytest.mark.parametrize(
    ("name", "billions", "active"),
    [
        ("deepseek-ai/DeepSeek-V3", 671, 37),
        ("deepseek-ai/DeepSeek-V4-Flash", 284, 13),
        ("deepseek-ai/DeepSeek-V4-Pro", 1_600, 49),
        ("google/gemma-4-26B-A4B", 26, 4),
        ("MiniMaxAI/MiniMax-M2.5", 229, 10),
        ("moonshotai/Kimi-K2-Instruct", 1_026, 32),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 31.6, 3),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", 120, 12),
        ("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", 550, 55),
        ("openai/gpt-oss-120b", 117, 5),
        ("Qwen/Qwen3-30B-A3B", 30.5, 3),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 80, 3),
        ("XiaomiMiMo/MiMo-V2-Flash", 309, 15),
        ("zai-org/GLM-4.5-Air", 106, 12),
        ("zai-org/GLM-5", 744, 40),
    ],
)
def test_mixtures_are_as_large_as_their_names_and_model_cards_round_them(
    name: str, billions: float, active: float
) -> None:
    facts = load_facts(name)
    assert pytest.approx(billions, rel=0.02) == facts.parameters / 1e9
    assert pytest.approx(active, abs=1) == facts.active_parameters / 1e9


@pytest.mark.parametrize(
    ("name", "tensor_bytes"),
    [
        ("codellama/CodeLlama-7b-hf", 524_288),
        ("google/gemma-7B", 458_752),
        ("meta-llama/Llama-3.1-8B", 131_072),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 163_840),
        ("Qwen/Qwen1.5-MoE-A2.7B", 196_608),
        ("Qwen/Qwen2.5-7B-Instruct", 57_344),
        ("Qwen/Qwen3-14B", 163_840),
        ("Qwen/Qwen3-30B-A3B", 98_304),
        ("deepseek-ai/DeepSeek-V2-Lite-Chat", 31_104),
        # not logged: a latent vector and its positions in 16 bits, and the key and the scale of V3.2's index
        ("deepseek-ai/DeepSeek-V3", 61 * 576 * 2),
        ("deepseek-ai/DeepSeek-V3.2", 61 * (576 * 2 + 132)),
    ],
)
def test_a_token_takes_as_many_bytes_as_logs_show(name: str, tensor_bytes: int) -> None:
    assert tensor_bytes == bytes_a_token(load_facts(name))


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("google/gemma-2-9b-it", 17.22),
        ("google/gemma-2-27b-it", 50.72),
        ("google/gemma-3-27b-it", 51.45),
        ("ibm-granite/granite-3.1-8b-instruct", 15.25),
        ("meta-llama/Llama-3.1-8B", 14.99),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 44.76),
        ("Qwen/Qwen1.5-MoE-A2.7B", 26.67),
        ("Qwen/Qwen3-14B", 27.52),
        ("Qwen/Qwen3-30B-A3B", 56.88),
        ("Qwen/Qwen3-32B", 61.03),
    ],
)
def test_a_16_bit_model_is_as_large_as_vllm_logs_it(name: str, gib: float) -> None:
    """Logs of vLLM 0.11 to 0.19 on one H100 (github.com/llm-d-incubation/llm-d-planner)."""
    facts = load_facts(name)
    weights = sum(weight.parameters * weight.wide_bytes for weight in facts.weights)
    tables = sum(2 * table.positions * table.width for table in facts.rotary)
    assert pytest.approx(gib, rel=0.003) == (weights + tables) / 2**30


def test_a_token_passes_through_its_own_experts_only() -> None:
    facts = load_facts("Qwen/Qwen3-30B-A3B")
    assert facts.experts is not None
    assert (128, 8, 768) == (facts.experts.count, facts.experts.per_token, facts.experts.intermediate)


def test_windows_follow_the_pattern_of_the_model() -> None:
    for name, full, sliding, window in (
        ("bundled:gemma-3-270m", 3, 15, 512),
        ("google/gemma-2-9b-it", 21, 21, 4096),
        ("openai/gpt-oss-20b", 12, 12, 128),
        ("google/gemma-4-31B-it", 10, 50, 1024),
    ):
        facts = load_facts(name)
        assert (full, sliding) == (layers(facts, CacheKind.FULL), layers(facts, CacheKind.SLIDING))
        assert {window} == {cache.window for cache in facts.caches if cache.kind is CacheKind.SLIDING}


def test_a_window_holds_for_every_layer_where_none_is_listed() -> None:
    assert layers(read(sliding_window=4096), CacheKind.SLIDING) == 32
    assert layers(read(sliding_window=None), CacheKind.SLIDING) == 0
    assert layers(read(sliding_window=2**20), CacheKind.SLIDING) == 0  # never reached
    qwen = {"architectures": ["Qwen2ForCausalLM"], "sliding_window": 4096}
    assert layers(read(**qwen), CacheKind.SLIDING) == 0  # its configuration leaves windows off
    assert layers(read(**qwen, use_sliding_window=True), CacheKind.SLIDING) == 4  # from layer 28 on


def test_llama_4_looks_back_within_chunks_but_for_every_fourth_layer() -> None:
    facts = load_facts("meta-llama/Llama-4-Scout-17B-16E-Instruct")
    full, chunked = facts.caches
    assert (CacheKind.FULL, tuple(range(3, 48, 4))) == (full.kind, full.layers)
    assert (CacheKind.CHUNKED, 8192) == (chunked.kind, chunked.window)


def test_layers_may_have_heads_of_their_own() -> None:
    full, sliding = load_facts("XiaomiMiMo/MiMo-V2-Flash").caches
    assert (4, 192, 128, 9) == (full.kv_heads, full.key_width, full.value_width, len(full.layers))
    assert (8, 39, 128) == (sliding.kv_heads, len(sliding.layers), sliding.window)
    sliding, full = load_facts("google/gemma-4-31B-it").caches
    assert (16, 256, 4, 512) == (sliding.kv_heads, sliding.key_width, full.kv_heads, full.key_width)
    weights = named(load_facts("nvidia/Llama-3_3-Nemotron-Super-49B-v1"), "attention.key_value")
    assert 49 == sum(len(weight.layers) for weight in weights)


def test_a_state_has_a_fixed_size() -> None:
    full, state = load_facts("Qwen/Qwen3.5-27B").caches
    assert (16, 48) == (len(full.layers), len(state.layers))
    assert (State(10_240 * 3, 2), State(48 * 128 * 128, 4)) == state.states
    state, _ = load_facts("nvidia/Nemotron-H-56B-Base-8K").caches
    assert (State((256 * 64 + 2 * 8 * 256) * 3, 2), State(256 * 64 * 256, 4)) == state.states


def test_the_latent_vector_is_on_every_gpu_and_heads_are_divided() -> None:
    facts = load_facts("deepseek-ai/DeepSeek-V3")
    splits = {weight.name: weight.split for weight in facts.weights}
    assert (Split.NONE, Split.NONE) == (splits["attention.query_down"], splits["attention.latent_down"])
    assert (Split.OUTPUTS, Split.INPUTS) == (splits["attention.query_up"], splits["attention.output"])
    assert ["attention.latent_up"] == [weight.name for weight in facts.weights if weight.absorbed]


def test_predicted_tokens_are_no_layers() -> None:
    assert 61 == load_facts("deepseek-ai/DeepSeek-V3").layers


def test_a_tower_is_neither_quantized_nor_passed_by_tokens() -> None:
    facts = load_facts("Qwen/Qwen3-VL-8B-Instruct")
    tower = [weight for weight in facts.weights if weight.name.startswith("vision.")]
    assert facts.multimodal
    assert 8_767_123_696 - 8_190_735_360 == sum(weight.parameters for weight in tower)  # without Qwen3 8B
    assert not any(weight.quantized for weight in tower)
    assert load_facts("Qwen/Qwen3-8B").active_parameters == facts.active_parameters


def test_fields_that_a_configuration_leaves_out_are_transformers_defaults() -> None:
    section = {"model_type": "gemma3_text", "num_hidden_layers": 34, "hidden_size": 2560,
               "intermediate_size": 10240, "sliding_window": 1024}  # fmt: skip
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": section}
    facts = read_config(config, "m", "config.json")
    assert 4_300_079_472 == facts.parameters
    assert facts.tied


def test_modules_have_the_names_of_the_checkpoint() -> None:
    facts = load_facts("Qwen/Qwen3-30B-A3B")
    modules = {name for weight in facts.weights for name in weight.modules}
    assert {
        "self_attn.q_proj",
        "mlp.gate",
        "mlp.experts.*.gate_proj",
        "input_layernorm",
        "lm_head",
    } <= modules
    (query,) = named(facts, "attention.query")
    (keys,) = named(facts, "attention.key_value")
    assert query.fused == keys.fused == "qkv"
    assert ("self_attn.k_proj", "self_attn.v_proj") == keys.modules


def test_routers_embeddings_heads_and_norms_stay_as_they_are() -> None:
    for name in ("Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3.5-35B-A3B"):
        converted = {weight.name for weight in load_facts(name).weights if weight.quantized}
        assert not converted & {"router", "embedding", "head", "norms", "last_norm", "convolution"}
        assert {"experts.gate_up", "experts.down"} <= converted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["LlamaForCausalLm"]}, "does not know the architecture LlamaForCausalLm"),
        ({"architectures": ["LlamaForCausalLm"]}, "the nearest that it knows: LlamaForCausalLM"),
        ({"architectures": ["Nothing"]}, "ask for it with this config.json"),
        ({"architectures": ...}, "config.json: architectures: is missing"),
        ({"architectures": []}, "config.json: architectures: is missing"),
        ({"num_hidden_layers": ...}, "config.json: num_hidden_layers: is missing"),
        ({"num_hidden_layers": -1}, "num_hidden_layers: is -1, not a positive number"),
        ({"num_hidden_layers": 2**30}, f"num_hidden_layers: is {2**30}, more than"),
        ({"hidden_size": "4096"}, "hidden_size: is '4096'"),
        ({"intermediate_size": [1, 2]}, "intermediate_size: is [1, 2]"),
        ({"vocab_size": 2**70}, "vocab_size: is"),
        ({"vocab_size": True}, "vocab_size: is True"),
        ({"num_attention_heads": 33}, "num_attention_heads (33) does not divide"),
        ({"num_key_value_heads": 5}, "num_key_value_heads: is 5, which does not divide the 32 heads"),
        ({"attention_bias": "yes"}, "attention_bias: is 'yes', not true or false"),
        ({"torch_dtype": "int3"}, "torch_dtype: is 'int3'"),
        ({"architectures": ["Qwen3MoeForCausalLM"], **EXPERTS, "num_experts_per_tok": 8},
         "num_experts_per_tok: is 8, of 4 experts"),
        ({"architectures": ["Qwen3MoeForCausalLM"], **EXPERTS, "mlp_only_layers": 3}, "mlp_only_layers: is 3"),
        ({"architectures": ["Gemma3ForCausalLM"], "sliding_window": 512, "layer_types": ["full_attention"]},
         "layer_types: lists 1 layers, not 32"),
        ({"architectures": ["Gemma3ForCausalLM"], "sliding_window": 512, "layer_types": ["half"] * 32},
         "layer_types: names 'half'"),
        ({"architectures": ["Gemma4ForConditionalGeneration"], "audio_config": {}, "layer_types": ["full_attention"] * 32},
         "audio_config: describes a tower for sound"),
        (LATENT | {"kv_lora_rank": ...}, "kv_lora_rank: is missing"),
        ({"architectures": ["NemotronHForCausalLM"], "hybrid_override_pattern": "M*"},
         "hybrid_override_pattern: lists 2 layers, not 32"),
        ({"architectures": ["NemotronHForCausalLM"], "hybrid_override_pattern": "X" * 32},
         "hybrid_override_pattern: has 'X'"),
        ({"architectures": ["DeciLMForCausalLM"]}, "block_configs: is missing"),
        ({"architectures": ["DeciLMForCausalLM"], "block_configs": [{"attention": {"n_heads_in_group": 5}}] * 32},
         "block_configs.0.attention.n_heads_in_group: is 5"),
        ({"architectures": ["DbrxForCausalLM"], "attn_config": 3}, "attn_config: is 3, not an object"),
        ({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {"num_hidden_layers": "two"}},
         "text_config.num_hidden_layers: is 'two'"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_in_one_line(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(**changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_architecture_is_named_as_engines_name_it() -> None:
    assert len(known()) > 110
    assert all(name.isidentifier() for name in known())


SMALL = {
    # What one family or another asks for, so that a random choice of dimensions is a whole configuration.
    "add_qkv_bias": True, "attention_chunk_size": 64, "attn_config": {"kv_n_heads": 2}, "attn_layer_indices": [1],
    "attn_layer_offset": 1, "attn_layer_period": 2, "compress_ratios": [4, 128, 0, 4, 128, 0, 4, 128],
    "conv_L_cache": 3, "conv_kernel": 4, "expert_layer_offset": 0, "expert_layer_period": 2,
    "ff_intermediate_size": 96, "ffn_config": {"moe_num_experts": 4, "ffn_hidden_size": 32},
    "ffn_hidden_size": 96, "full_attention_interval": 2, "hc_mult": 2, "head_dim": 16, "index_head_dim": 128,
    "index_n_heads": 2, "intermediate_size": 96, "intermediate_size_mlp": 128, "interleave_moe_layer_step": 1,
    "kv_lora_rank": 32, "linear_attn_config": {"full_attn_layers": [2], "num_heads": 2, "head_dim": 16,
                                               "short_conv_kernel_size": 4},
    "dense_intermediate_size": 64, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 16,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_value_head_dim": 16, "mamba_d_conv": 4,
    "mamba_d_state": 16, "mamba_expand": 2, "mamba_head_dim": 16, "mamba_n_groups": 1, "mamba_n_heads": 4,
    "mamba_num_heads": 4, "max_position_embeddings": 512, "moe_intermediate_size": 32, "moe_k": 2,
    "moe_num_experts": 4, "moe_shared_expert_intermediate_size": 32, "moe_top_k": 2, "moe_topk": 2,
    "n_groups": 1, "n_routed_experts": 4, "no_rope_layer_interval": 4, "num_experts": 4,
    "num_experts_per_tok": 2, "num_experts_per_token": 2, "num_heads": 4, "num_local_experts": 4, "o_groups": 2,
    "o_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "sliding_window": 64,
    "ssm_state_size": 16, "state_size": 16, "swa_head_dim": 16, "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2, "time_step_rank": 4, "top_k_experts": 2, "v_head_dim": 16,
}  # fmt: skip
KINDS = {
    "GraniteMoeHybridForCausalLM": ("mamba", "attention"),
    "Lfm2ForCausalLM": ("conv", "full_attention"),
    "Lfm2MoeForCausalLM": ("conv", "full_attention"),
    "MiniMaxForCausalLM": ("linear_attention", "full_attention"),
    "MiniMaxM1ForCausalLM": ("linear_attention", "full_attention"),
    "MiniMaxText01ForCausalLM": ("linear_attention", "full_attention"),
    "Qwen3NextForCausalLM": ("linear_attention", "full_attention"),
    "Qwen3_5ForCausalLM": ("linear_attention", "full_attention"),
    "Qwen3_5MoeForCausalLM": ("linear_attention", "full_attention"),
}


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(families())),
    count=st.integers(1, 8),
    width=st.sampled_from([32, 64, 160]),
    kv_heads=st.sampled_from([1, 2, 4]),
    vocabulary=st.integers(1, 300),
    tied=st.booleans(),
    bias=st.booleans(),
)
def test_every_family_reads_whatever_dimensions_divide(
    name: str, count: int, width: int, kv_heads: int, vocabulary: int, tied: bool, bias: bool
) -> None:
    kinds = KINDS.get(name, ("sliding_attention", "full_attention"))
    config = SMALL | {
        "architectures": [name],
        "num_hidden_layers": count,
        "hidden_size": width,
        "num_attention_heads": 4,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "attention_bias": bias,
        "layer_types": [kinds[number % 2] for number in range(count)],
        "hybrid_override_pattern": "M*-EM*-E"[:count],
        "hybrid_layer_pattern": [number % 2 for number in range(count)],
        "block_configs": [{"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 2.0}}] * count,
    }
    if name == "MiMoV2FlashForCausalLM":
        config["sliding_window_size"] = 64
    if name == "NemotronHForCausalLM":
        config["layer_types"] = None
    facts = read_config(config, "m", "config.json")
    assert facts.parameters > 0
    assert 0 < facts.active_parameters <= facts.parameters
    assert {*range(count)} >= {layer for weight in facts.weights for layer in weight.layers}
    assert len({layer for cache in facts.caches for layer in cache.layers}) <= count
    for weight in facts.weights:
        assert weight.modules
        assert math.prod((weight.rows, weight.columns, weight.each)) > 0


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from([2**35, 2**70, 0.5, float("nan"), "yes", "", [], [1, "a"], [None], {}, {"a": 1}, [[1]]]),
)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), junk=JUNK)
def test_whatever_a_configuration_says_is_read_or_refused_in_one_line(
    data: st.DataObject, junk: object
) -> None:
    entry = data.draw(st.sampled_from(catalogue.entries()))
    config = copy.deepcopy(entry.config)
    place = config
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = junk
    try:
        assert read_config(config, "m", "config.json").parameters > 0
    except InputError as error:
        assert "\n" not in str(error)
