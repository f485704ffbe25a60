"""Against start-ups that vLLM logged: "Model loading took". Unless a row says otherwise: release 0.19, H100, from the
logs in github.com/llm-d-incubation/llm-d-planner/pull/205; they print two decimals."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.units import GIB
from shipfit.models import Format, ModelFacts, Split, Weight, load_facts
from shipfit.models.architectures import read_config
from shipfit.precision import Scheme, scheme, schemes
from shipfit.sizing.memory.shards import Holder
from shipfit.sizing.memory.weights import weight_bytes, weight_terms
from shipfit.sizing.settings import Settings

MODELS = [
    "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-3.3-70B-Instruct",
    "mistralai/Mixtral-8x7B-v0.1",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3-0.6B",
    "Qwen/Qwen3-30B-A3B-FP8",
    "google/gemma-2-9b-it",
    "openai/gpt-oss-20b",
    "bundled:gemma-3-270m",
]
facts = st.sampled_from(MODELS).map(load_facts)
kinds = st.sampled_from(["bf16", "fp8-w8a8", "int8-w8a16", "gptq-w4a16", "awq-w4a16", "gguf-q4_k_m"]).map(
    scheme
)
BF16 = scheme("bf16")


def bytes_per_gpu(facts: ModelFacts, weight: Weight, kind: Scheme, tensor: int) -> float:
    """Of a kind of weight, in all layers together."""
    return Holder(facts, kind, tensor, expert_parallel=False).shard(weight).total


@pytest.mark.parametrize(
    ("model", "precision", "tensor", "measured_gib"),
    [
        (
            "meta-llama/Llama-3.1-8B",
            "bf16",
            1,
            14.9889,
        ),  # github.com/vllm-project/vllm, issues of release 0.8
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "gptq-w4a16", 1, 5.38),
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 1, 14.25),
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 2, 7.12),
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 4, 3.55),
        ("RedHatAI/Qwen2.5-7B-Instruct-fp8-dynamic", "fp8-w8a8", 1, 8.14),
        ("RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8", "int8-w8a8", 1, 8.14),
        ("Qwen/Qwen3-14B", "bf16", 1, 27.52),
        ("Qwen/Qwen3-30B-A3B", "bf16", 1, 56.88),
        ("Qwen/Qwen3-32B", "bf16", 1, 61.03),
        ("Qwen/Qwen3-32B", "bf16", 2, 30.59),
        ("google/gemma-2-2b-it", "bf16", 1, 4.90),
        ("google/gemma-2-9b-it", "bf16", 1, 17.22),
        ("google/gemma-2-27b-it", "bf16", 1, 50.72),
        ("ibm-granite/granite-3.1-2b-instruct", "bf16", 1, 4.74),
        ("ibm-granite/granite-3.1-8b-instruct", "bf16", 1, 15.25),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "fp8-w8a8", 1, 67.72),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "fp8-w8a8", 2, 33.88),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "fp8-w8a8", 4, 16.96),
        ("openai/gpt-oss-120b", "mxfp4", 1, 64.38),  # release 0.11, Triton
    ],
)
def test_weights_are_those_that_vllm_logs(
    model: str, precision: str, tensor: int, measured_gib: float
) -> None:
    predicted = weight_bytes(load_facts(model), scheme(precision), Settings(tensor=tensor)) / GIB
    assert measured_gib == pytest.approx(predicted, abs=0.0061)


def test_experts_in_blocks_of_fp8_are_those_that_vllm_logs() -> None:
    """Release 0.27.1 on RTX PRO 6000, from the throughput table's source."""
    model = load_facts("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8")
    predicted = weight_bytes(model, scheme("fp8-block"), Settings(tensor=4), capability=12.0) / GIB
    assert pytest.approx(predicted, abs=0.0061) == 55.19


def test_older_gpus_pad_experts_in_mxfp4_for_marlin() -> None:
    """Release 0.10.1 before it had Triton's kernels: 65.9651 GiB."""
    model = load_facts("openai/gpt-oss-120b")
    predicted = weight_bytes(model, scheme("mxfp4"), Settings(), capability=8.0) / GIB
    assert pytest.approx(predicted, rel=0.002) == 65.9651


def test_nf4_of_old_releases_keeps_its_scales_quantized() -> None:
    """Release 0.7.1 on T4: 8.4920 GiB."""
    model = load_facts("unsloth/phi-4-bnb-4bit")
    predicted = weight_bytes(model, scheme("bnb-nf4"), Settings(version="0.7.1"), capability=7.5) / GIB
    assert pytest.approx(predicted, rel=0.003) == 8.4920


def test_a_vocabulary_is_padded() -> None:
    model = load_facts("Qwen/Qwen3-0.6B")
    embedding = Weight("embedding", 1001, 8, Split.OUTPUTS)
    assert 1024 * 8 * 2 == bytes_per_gpu(model, embedding, BF16, 1)
    assert 1024 * 8 == bytes_per_gpu(model, embedding, BF16, 2)


def test_heads_lie_on_several_gpus_beyond_their_number() -> None:
    model = load_facts("Qwen/Qwen3-30B-A3B")  # 4 KV heads
    keys = next(weight for weight in model.weights if weight.name == "attention.key_value")
    sizes = [bytes_per_gpu(model, keys, BF16, tensor) for tensor in (1, 2, 4, 8)]
    assert [sizes[0], sizes[0] / 2, sizes[0] / 4, sizes[0] / 4] == sizes


def test_experts_are_divided_by_number_or_by_width() -> None:
    model = load_facts("Qwen/Qwen3-30B-A3B")
    by_width, by_number = (
        weight_bytes(model, BF16, Settings(tensor=4, expert_parallel=each)) for each in (False, True)
    )
    assert by_width == pytest.approx(by_number, rel=0.01)
    odd = weight_bytes(model, scheme("gptq-w4a16"), Settings(tensor=8, expert_parallel=True))
    assert odd < weight_bytes(model, scheme("gptq-w4a16"), Settings(tensor=4, expert_parallel=True))


def test_latent_attention_keeps_a_copy_of_what_is_quantized() -> None:
    up = Weight("attention.up", 512, 64, Split.OUTPUTS, (0, 1), quantized=True, absorbed=True)
    model = replace(load_facts("Qwen/Qwen3-0.6B"), weights=(up,), rotary=())
    assert 512 * 64 * 2 * 2 == weight_bytes(model, BF16, Settings())
    quantized = {term.name: term.bytes for term in weight_terms(model, scheme("fp8-w8a8"), Settings())}
    assert 512 * 64 * 2 * 2 == quantized["attention.up in 16 bits"]


def with_headers(model: ModelFacts, factor: float) -> ModelFacts:
    """As if headers said that much of the shapes' bytes."""
    return replace(
        model,
        weights=tuple(replace(each, stored=round(each.parameters * 2 * factor)) for each in model.weights),
    )


def test_what_headers_say_counts_where_it_is_served_as_it_is_stored() -> None:
    model = load_facts("meta-llama/Llama-3.1-8B")
    exact, more = with_headers(model, 1), with_headers(model, 1.5)
    for tensor in (1, 2, 8):
        settings = Settings(tensor=tensor)
        assert weight_bytes(model, BF16, settings) == pytest.approx(
            weight_bytes(exact, BF16, settings), rel=1e-3
        )
        assert weight_bytes(more, BF16, settings) > 1.4 * weight_bytes(model, BF16, settings)
        fp8 = scheme("fp8-w8a8")  # of the matrices, the headers say nothing then
        heads = 2.2e9 / tensor
        assert weight_bytes(more, fp8, settings) < weight_bytes(model, fp8, settings) + heads


def test_what_the_engine_makes_of_scales_counts_before_what_the_checkpoint_stores_of_them() -> None:
    layout = Format(4, group=64, scale_bytes=4)
    weight = Weight("x", 64, 64, Split.NONE, quantized=True, format=layout)
    derived = layout.matrix_bytes(64, 64)
    model = load_facts("unsloth/phi-4-bnb-4bit")
    near, far = (replace(weight, stored=round(derived * factor)) for factor in (0.93, 2.0))
    assert derived == bytes_per_gpu(model, near, BF16, 1)
    assert 2 * derived == bytes_per_gpu(model, far, BF16, 1)


def test_tensors_that_nothing_is_known_of_lie_on_every_gpu() -> None:
    model = load_facts("Qwen/Qwen3-0.6B")
    other = Weight("other", 0, 0, Split.NONE, each=3, stored=1000)
    more = replace(model, weights=(*model.weights, other))
    for tensor in (1, 2):
        settings = Settings(tensor=tensor)
        assert 1000 == weight_bytes(more, BF16, settings) - weight_bytes(model, BF16, settings)
    assert "3 tensors that shipfit does not know" in [
        term.formula for term in weight_terms(more, BF16, Settings())
    ]


@given(model=facts, kind=kinds, tensor=st.sampled_from([1, 2, 4, 8]), stages=st.integers(1, 3))
def test_the_terms_add_up(model: ModelFacts, kind: Scheme, tensor: int, stages: int) -> None:
    settings = Settings(tensor=tensor, pipeline=stages)
    sums = [sum(term.bytes for term in weight_terms(model, kind, settings, stage)) for stage in range(stages)]
    assert max(sums) == weight_bytes(model, kind, settings)
    assert all(term.bytes >= 0 for term in weight_terms(model, kind, settings))


@given(model=facts, power=st.integers(0, 3))
def test_the_parts_of_a_split_add_up_to_the_whole_and_what_lies_on_each(
    model: ModelFacts, power: int
) -> None:
    tensor = 1 << power
    for weight in model.weights:
        whole, part = (bytes_per_gpu(model, weight, BF16, each) for each in (1, tensor))
        if weight.split is Split.NONE:
            assert part == whole
        elif weight.split is Split.KV_HEADS:
            assert part * max(tensor, model.kv_heads) / max(model.kv_heads, 1) >= whole / model.kv_heads - 1
            assert whole / tensor - 1 <= part <= whole
        elif weight.format is None:
            assert part * tensor == pytest.approx(whole)
        else:  # scales do not divide
            assert whole / tensor - 1 <= part <= whole


@given(model=facts, kind=kinds, stages=st.integers(1, 5))
def test_stages_add_up_to_the_whole_and_what_lies_on_two(
    model: ModelFacts, kind: Scheme, stages: int
) -> None:
    def sizes(settings: Settings, stage: int) -> dict[str, float]:
        totals: dict[str, float] = {}
        for term in weight_terms(model, kind, settings, stage):
            totals[term.name] = totals.get(term.name, 0) + term.bytes
        return totals

    whole = sizes(Settings(), 0)
    parts = [sizes(Settings(pipeline=stages), stage) for stage in range(stages)]
    del whole["rounding"]  # of a tied embedding that lies on two
    for name, size in whole.items():
        together = sum(part.get(name, 0) for part in parts)
        copies = stages if name == "rotary" else 2 if name == "embedding" and model.tied and stages > 1 else 1
        assert together == pytest.approx(size * copies)


@given(model=facts, power=st.integers(0, 3))
def test_fewer_bits_never_weigh_more(model: ModelFacts, power: int) -> None:
    settings = Settings(tensor=1 << power)
    sizes: dict[float, list[float]] = {}
    for each in schemes().values():
        if not each.embeddings:
            size = sum(bytes_per_gpu(model, weight, each, settings.tensor) for weight in model.weights)
            sizes.setdefault(each.format.bits, []).append(size)
    ordered = [sizes[bits] for bits in sorted(sizes)]
    assert all(max(fewer) <= min(more) for fewer, more in pairwise(ordered))


def test_a_model_without_layers_for_a_kind_of_weight_is_no_problem() -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "vocab_size": 320,
        "max_position_embeddings": 128,
    }
    model = read_config(config, "x", "config.json")
    assert weight_bytes(model, BF16, Settings(pipeline=2)) < weight_bytes(model, BF16, Settings())
