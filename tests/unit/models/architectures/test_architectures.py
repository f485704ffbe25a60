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


def test_a_token_passes_through_its_own_experts_only() -> None:
    facts = load_facts("Qwen/Qwen3-30B-A3B")
    assert facts.experts is not None
    assert (128, 8, 768) == (facts.experts.count, facts.experts.per_token, facts.experts.intermediate)


def test_experts_are_counted_under_either_name() -> None:
    qwen = {**LLAMA, **EXPERTS, "architectures": ["Qwen3MoeForCausalLM"], "head_dim": 128}
    renamed = {("num_local_experts" if key == "num_experts" else key): value for key, value in qwen.items()}
    assert read_config(qwen, "m", "config.json") == read_config(renamed, "m", "config.json")


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


def test_a_pattern_of_letters_is_repeated_and_the_last_layer_looks_back_all_the_way() -> None:
    exaone = {
        "architectures": ["Exaone4ForCausalLM"],
        "sliding_window": 4096,
        "sliding_window_pattern": "LLLG",
    }
    full, sliding = read(**exaone, num_hidden_layers=30).caches
    assert (3, 7, 11, 15, 19, 23, 27, 29) == full.layers
    assert (22, 4096) == (len(sliding.layers), sliding.window)


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


def test_groups_of_a_mamba_2_are_divided_as_long_as_there_are_some() -> None:
    for name, groups, state in (
        ("ibm-granite/granite-4.0-h-small", 1, 128),
        ("nvidia/Nemotron-H-56B-Base-8K", 8, 256),
    ):
        (weight,) = named(load_facts(name), "mamba.groups")
        assert (Split.KV_HEADS, groups, groups * state, 2) == (
            weight.split,
            weight.kv_heads,
            weight.rows,
            weight.each,
        )


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


def test_a_wrapper_has_defaults_of_its_own() -> None:
    glm = {"architectures": ["Glm4vForConditionalGeneration"]}
    assert named(read(**glm), "attention.query_bias")
    assert not named(read(architectures=["Glm4ForCausalLM"]), "attention.query_bias")


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
        ({"architectures": []}, "config.json: architectures: is [], not a list that begins with a class"),
        ({"architectures": "LlamaForCausalLM"}, "architectures: is 'LlamaForCausalLM', not a list"),
        ({"num_hidden_layers": ...}, "config.json: num_hidden_layers: is missing"),
        ({"num_hidden_layers": -1}, "num_hidden_layers: is -1, not a whole number from 1 on"),
        ({"num_hidden_layers": 2**30}, f"num_hidden_layers: is {2**30}, more than"),
        ({"hidden_size": "4096"}, "hidden_size: is '4096'"),
        ({"intermediate_size": [1, 2]}, "intermediate_size: is [1, 2]"),
        ({"vocab_size": 2**70}, f"vocab_size: is {2**70}, more than any model has"),
        ({"vocab_size": 4096.5}, "vocab_size: is 4096.5, not a whole number from 1 on"),
        ({"vocab_size": list(range(9000))}, "vocab_size: is [0, 1, 2, 3, 4, 5, ...], not a whole number"),
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
        ({"architectures": ["InternVLChatModel"], "llm_config": LLAMA, "downsample_ratio": 1e-300},
         "downsample_ratio: is 1e-300, not a positive number"),
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
