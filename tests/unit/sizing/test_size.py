"""Whole configurations: against start-ups that vLLM logged, and what holds of all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.hardware import gpu, gpus
from shipfit.models import load_facts
from shipfit.precision import scheme
from shipfit.sizing import Settings, size
from shipfit.sizing.support import refusals

MODELS = [
    "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-3.3-70B-Instruct",
    "mistralai/Mixtral-8x7B-v0.1",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3-0.6B",
    "google/gemma-2-9b-it",
    "bundled:gemma-3-270m",
]
H100 = gpu("H100-SXM5-80GB")
facts = st.sampled_from(MODELS).map(load_facts)
kinds = st.sampled_from(["bf16", "fp8-w8a8", "int8-w8a16", "gptq-w4a16", "awq-w4a16", "gguf-q4_k_m"]).map(
    scheme
)
versions = st.sampled_from([None, "0.32.0", "0.27.1", "0.19.0", "0.11.0", "0.8.5", "0.6.3"])


@pytest.mark.parametrize(
    ("model", "precision", "settings", "kv_gib", "tokens", "concurrency"),
    [
        # one to four H100, github.com/llm-d-incubation/llm-d-planner/pull/205 and docs/empirical-vllm-memory-results.md
        (
            "Qwen/Qwen3-14B",
            "bf16",
            Settings(context=8192, utilization=0.95, version="0.16.0"),
            41.94,
            274_848,
            33.55,
        ),
        (
            "Qwen/Qwen3-14B",
            "bf16",
            Settings(context=8192, utilization=0.95, version="0.17.0"),
            45.34,
            297_152,
            36.27,
        ),
        (
            "Qwen/Qwen2.5-7B-Instruct",
            "bf16",
            Settings(tensor=4, context=8192, utilization=0.95, version="0.19.0"),
            67.34,
            5_043_280,
            615.63,
        ),
        (
            "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
            "fp8-w8a8",
            Settings(tensor=2, context=8192, utilization=0.95, version="0.19.0"),
            37.28,
            244_304,
            29.82,
        ),
        (
            "google/gemma-2-27b-it",
            "bf16",
            Settings(context=8192, utilization=0.95, version="0.19.0"),
            20.59,
            58_672,
            7.16,
        ),
        (
            "Qwen/Qwen3-30B-A3B",
            "bf16",
            Settings(context=8192, utilization=0.95, version="0.19.0"),
            15.41,
            168_288,
            20.54,
        ),
        (
            "Qwen/Qwen3-32B",
            "bf16",
            Settings(context=16000, utilization=0.9, version="0.11.0"),
            4.45,
            None,
            None,
        ),
    ],
)
def test_a_start_up_is_predicted(
    model: str,
    precision: str,
    settings: Settings,
    kv_gib: float,
    tokens: int | None,
    concurrency: float | None,
) -> None:
    found = size(load_facts(model), H100, scheme(precision), settings)
    assert found.fits, found.reasons
    assert kv_gib == pytest.approx(found.kv_cache_gib, abs=0.05)
    if tokens is not None:
        assert tokens == pytest.approx(found.kv_cache_tokens, rel=0.01)
        assert concurrency == pytest.approx(found.max_concurrency, rel=0.01)


@pytest.mark.parametrize(
    ("model", "precision", "settings", "words"),
    [
        # those that failed, of the same collections and of vLLM's issues 27508 and 33155
        (
            "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
            "fp8-w8a8",
            Settings(utilization=0.9, version="0.11.0"),
            "72.7 GiB without any KV cache exceed the 71.3 GiB usable on H100-SXM5-80GB",
        ),
        (
            "Qwen/Qwen3-32B",
            "bf16",
            Settings(context=32000, utilization=0.9, version="0.11.0"),
            "a request of 32,000 tokens takes 7.82 GiB of KV cache",
        ),
        (
            "openai/gpt-oss-120b",
            "mxfp4",
            Settings(max_num_batched_tokens=5120, version="0.14.1"),
            "without any KV cache exceed",
        ),
        (
            "openai/gpt-oss-120b",
            "mxfp4",
            Settings(max_num_batched_tokens=1024, utilization=0.95, version="0.11.0"),
            "a request of 131,072 tokens takes",
        ),
        (
            "meta-llama/Llama-3.3-70B-Instruct",
            "bf16",
            Settings(),
            "weights of 131.4 GiB exceed the 72.9 GiB usable",
        ),
    ],
)
def test_what_ran_out_of_memory_is_refused(
    model: str, precision: str, settings: Settings, words: str
) -> None:
    found = size(load_facts(model), H100, scheme(precision), settings)
    assert not found.fits
    assert words in found.reasons[0]


def test_a_state_for_every_sequence_is_needed_to_estimate_graphs() -> None:
    """A 27B hybrid in NVFP4 on one RTX 5090 (github.com/vllm-project/recipes, models/Qwen/Qwen3.8-27B.yaml).

    Out of memory at capture, whatever the utilization; served without graphs, and on two cards.
    """
    hybrid, card, nvfp4 = load_facts("Qwen/Qwen3.5-27B"), gpu("RTX-5090"), scheme("nvfp4")
    settings = Settings(context=32768, kv_cache="fp8", version="0.26.1rc1.dev608")
    for utilization in (0.8, 0.93):
        graphs = size(hybrid, card, nvfp4, replace(settings, utilization=utilization))
        assert not graphs.fits
        assert "vLLM estimates CUDA graphs with 256 blocks of KV cache, 12.2 GiB" in graphs.reasons[0]
    assert size(hybrid, card, nvfp4, replace(settings, eager=True)).fits
    assert size(hybrid, card, nvfp4, replace(settings, tensor=2)).fits


def test_before_0_21_graphs_take_what_utilization_left() -> None:
    model, bf16 = load_facts("Qwen/Qwen3-30B-A3B"), scheme("bf16")
    old, new = (
        size(model, H100, bf16, Settings(context=8192, utilization=0.95, version=version))
        for version in ("0.20.0", "0.21.0")
    )
    assert old.graphs_beside
    assert not new.graphs_beside
    assert old.kv_cache_gib - new.cuda_graph_gib == pytest.approx(new.kv_cache_gib)
    tight = size(
        model, H100, bf16, Settings(context=8192, utilization=1.0, version="0.11.0", max_num_seqs=16)
    )
    assert tight.fits  # what a step needed is free again


def test_one_stage_had_to_hold_a_request_of_the_whole_model() -> None:
    """github.com/vllm-project/vllm/pull/33698"""
    model, settings = load_facts("Qwen/Qwen3-30B-A3B"), Settings(pipeline=4, context=40960, max_num_seqs=8)
    card = gpu("L4").model_copy(update={"usable_gib": 20.0})
    old, new = (
        size(model, card, scheme("bf16"), replace(settings, version=version))
        for version in ("0.14.0", "0.21.0")
    )
    assert new.fits
    assert not old.fits


def test_a_processor_is_told_whole_gib() -> None:
    found = size(
        load_facts("bundled:gemma-3-270m"), gpu("cpu"), scheme("bf16"), Settings(context=1024), concurrency=8
    )
    assert 1.0 == found.kv_cache_gib
    assert found.kv_cache_tokens == pytest.approx(52_745, rel=0.001)


@given(
    model=facts,
    kind=kinds,
    name=st.sampled_from([each.name for each in gpus() if each.capability]),
    context=st.integers(1, 8192),
    concurrency=st.none() | st.integers(1, 500),
    utilization=st.floats(0.3, 1.0),
    version=versions,
)
def test_the_parts_add_up_to_what_vllm_may_take(
    model, kind, name, context, concurrency, utilization, version
) -> None:
    settings = Settings(context=context, utilization=utilization, version=version)
    found = size(model, gpu(name), kind, settings, concurrency=concurrency)
    assert gpu(name).memory_gib * utilization == pytest.approx(found.usable_gib)
    assert found.usable_gib == pytest.approx(found.without_kv_gib + found.kv_cache_gib)
    for part in ("weights", "activation", "cuda_graph", "non_torch", "kv_cache"):
        named = sum(term.gib for term in found.terms if term.part == part)
        assert named == pytest.approx(getattr(found, f"{part}_gib"))
    assert found.reasons
    if found.fits:
        assert found.max_concurrency >= (concurrency or 1)
        assert not refusals(model, gpu(name), kind, settings)


@given(
    model=facts,
    kind=kinds,
    gib=st.floats(8, 200),
    more=st.floats(0, 100),
    context=st.integers(1, 8192),
    version=versions,
)
def test_more_memory_never_fits_less(model, kind, gib, more, context, version) -> None:
    # of the same class: vLLM takes larger batches on larger GPUs, and so more for itself
    small = gpu("L40S").model_copy(update={"usable_gib": min(gib, 69.0)})
    large = small.model_copy(update={"usable_gib": min(small.usable_gib + more, 69.9)})
    less, most = (
        size(model, each, kind, Settings(context=context, version=version)) for each in (small, large)
    )
    assert most.max_concurrency >= less.max_concurrency
    assert most.fits >= less.fits


@given(model=facts, kind=kinds, context=st.integers(1, 8191), more=st.integers(0, 8192), version=versions)
def test_more_context_never_raises_concurrency(model, kind, context, more, version) -> None:
    longer = min(context + more, 8192)
    short, long = (
        size(
            model, H100, kind, Settings(context=each, max_num_batched_tokens=8192, version=version)
        ).max_concurrency
        for each in (context, longer)
    )
    assert long <= short
