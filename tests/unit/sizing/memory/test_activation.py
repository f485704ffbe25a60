"""The peak of a step against what vLLM logged, and which half of the step makes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.sizing.memory.activation import activation
from shipfit.sizing.memory.term import total_gib
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

H100 = gpu("H100-SXM5-80GB")


def peak(
    model: str,
    version: str | None,
    tokens: int = 8192,
    sequences: int = 1024,
    *,
    tensor: int = 1,
    name: str = "H100-SXM5-80GB",
) -> float:
    begun = Start(release(version), 8192, tokens, sequences)
    return total_gib(activation(load_facts(model), gpu(name), Settings(tensor=tensor), begun))


@pytest.mark.parametrize(
    ("model", "version", "tensor", "measured_gib"),
    [
        # github.com/llm-d-incubation/llm-d-planner/pull/205 and docs/empirical-vllm-memory-results.md
        ("Qwen/Qwen3-14B", "0.16.0", 1, 5.64),  # sampling sorts until here
        ("Qwen/Qwen3-14B", "0.17.0", 1, 2.23),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "0.11.0", 2, 4.84),
        ("openai/gpt-oss-120b", "0.11.0", 1, 7.38),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "0.19.0", 4, 1.97),
        ("Qwen/Qwen2.5-7B-Instruct", "0.19.0", 4, 2.21),
        ("google/gemma-2-2b-it", "0.19.0", 1, 3.62),
        ("google/gemma-2-27b-it", "0.19.0", 1, 3.66),
        ("google/gemma-3-4b-it", "0.19.0", 1, 3.89),  # with images
        ("google/gemma-3-27b-it", "0.19.0", 1, 3.99),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "0.19.0", 1, 2.03),
        ("Qwen/Qwen3-30B-A3B", "0.19.0", 1, 2.68),  # experts' buffers are kept while sampling
        ("moonshotai/Kimi-VL-A3B-Instruct", "0.19.0", 1, 2.92),
        ("moonshotai/Kimi-VL-A3B-Instruct", "0.19.0", 2, 2.85),
        ("ibm-granite/granite-3.1-2b-instruct", "0.19.0", 1, 0.75),
        ("ibm-granite/granite-3.1-8b-instruct", "0.19.0", 1, 0.85),  # so few words that reading is the peak
    ],
)
def test_peaks_are_those_that_vllm_logs(model: str, version: str, tensor: int, measured_gib: float) -> None:
    assert measured_gib == pytest.approx(peak(model, version, tensor=tensor), abs=0.07)


@pytest.mark.parametrize(
    ("model", "version", "name", "tokens", "sequences", "measured_gib"),
    [
        # the V0 engine, from notebooks of github.com/unslothai/notebooks and github.com/datawhalechina/self-llm
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "0.8.5.post1", "T4", 256, 128, 0.70),
        ("microsoft/phi-4", "0.7.1", "T4", 512, 128, 0.47),
        ("Qwen/Qwen2.5-3B-Instruct", "0.7.1", "T4", 1024, 192, 1.05),
        ("Qwen/Qwen3-4B-Base", "0.8.5.post1", "T4", 2048, 160, 0.88),
        ("microsoft/phi-4", "0.8.2", "A100-SXM4-80GB", 512, 320, 1.16),
    ],
)
def test_the_engine_before_v1_sampled_the_same_way(
    model: str, version: str, name: str, tokens: int, sequences: int, measured_gib: float
) -> None:
    assert measured_gib == pytest.approx(peak(model, version, tokens, sequences, name=name), abs=0.02)


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("0.21.0", {"matrix library", "logits and sampling", "hidden state"}),
        ("0.24.0", {"matrix library", "a layer's results"}),  # what it counts is not accounted for yet
        ("0.32.0", {"matrix library", "a layer's results", "counts for penalties"}),
    ],
)
def test_model_runner_2_samples_in_place_and_counts_words(version: str, names: set[str]) -> None:
    begun = Start(release(version), 8192, 8192, 1024)
    found = activation(load_facts("Qwen/Qwen3-14B"), H100, Settings(), begun)
    assert names == {term.name for term in found}


@pytest.mark.parametrize(
    ("version", "name", "kept"),
    [
        ("0.11.0", "H100-SXM5-80GB", False),
        ("0.19.0", "H100-SXM5-80GB", True),
        ("0.32.0", "B200-SXM-180GB", False),
        ("0.32.0", "RTX-PRO-6000-Blackwell", True),
    ],
)
def test_where_experts_buffers_are_kept_sampling_comes_on_top(version: str, name: str, kept: bool) -> None:
    begun = Start(release(version), 8192, 64, 1024)
    found = activation(load_facts("Qwen/Qwen3-30B-A3B"), gpu(name), Settings(), begun)
    assert kept is ({"experts' buffers", "logits and sampling"} <= {term.name for term in found})


def test_an_encoder_of_images_is_the_peak_of_small_batches() -> None:
    """Notebook Qwen2_5_7B_VL_GRPO of github.com/unslothai/notebooks: one image of 16,384 tokens."""
    assert 2.71 == pytest.approx(peak("Qwen/Qwen2.5-VL-7B-Instruct", "0.9.2", 2048, 1, name="T4"), abs=0.1)


@given(
    tokens=st.integers(1, 32768),
    sequences=st.integers(1, 2048),
    more=st.integers(0, 4096),
    version=st.sampled_from([None, "0.8.5", "0.11.0", "0.19.0", "0.27.1"]),
)
def test_larger_batches_never_take_less(tokens: int, sequences: int, more: int, version: str | None) -> None:
    sizes = [
        peak("Qwen/Qwen3-30B-A3B", version, *batch)
        for batch in ((tokens, sequences), (tokens + more, sequences), (tokens + more, sequences + more))
    ]
    assert sizes == sorted(sizes)
