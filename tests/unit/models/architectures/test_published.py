"""Parameter counts are published ones, to the last parameter; beside each group stands where they were seen.

None is an output of ours. Families without a count that was seen published are in test_shapes.py.
"""

from __future__ import annotations

import pytest

from shipfit.models import CacheKind, ModelFacts, load_facts


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
