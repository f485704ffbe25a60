from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from shipfit.hardware import gpu, gpus
from shipfit.models import Format, ModelFacts, Quantization, load_facts
from shipfit.precision import scheme, schemes
from shipfit.sizing.settings import Settings
from shipfit.sizing.support import notes, refusals

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
QWEN = "Qwen/Qwen2.5-7B-Instruct"  # 28 heads, 4 KV heads, 18944 wide
EXPERTS = "Qwen/Qwen3-30B-A3B"  # experts 768 wide


def _quantized(model: str, precision: str, **quantization: Any) -> ModelFacts:
    """A model whose checkpoint is stored in a precision."""
    facts = load_facts(model)
    kind = scheme(precision)
    own = Quantization(
        quantization.pop("method", "compressed-tensors"),
        precision,
        group=kind.group,
        symmetric=kind.zero_bits == 0,
        **quantization,
    )
    weights = tuple(
        replace(weight, format=kind.format) if weight.quantized else weight for weight in facts.weights
    )
    return replace(facts, quantization=own, weights=weights)


@pytest.mark.parametrize(
    ("model", "name", "precision", "settings"),
    [
        (LLAMA, "H100", "bf16", Settings()),
        (LLAMA, "H100", "fp8-w8a8", Settings(tensor=8)),
        (LLAMA, "A100", "fp8-w8a8", Settings(tensor=4)),
        (LLAMA, "T4", "gptq-w4a16", Settings(tensor=4)),
        (LLAMA, "B200", "nvfp4", Settings(tensor=2, kv_cache="fp8")),
        (LLAMA, "MI300X", "fp8-w8a8", Settings(tensor=8, kv_cache="fp8")),
        (LLAMA, "H100", "bf16", Settings(tensor=2, pipeline=4)),
        (QWEN, "A100", "awq-w4a16", Settings(tensor=4)),
        (EXPERTS, "H100", "gptq-w4a16", Settings(tensor=2)),
        (EXPERTS, "H100", "gptq-w4a16", Settings(tensor=4, expert_parallel=True)),
        (EXPERTS, "H100", "bf16", Settings(tensor=8)),  # KV heads lie on two GPUs each
        (EXPERTS, "H100", "fp8-block", Settings(tensor=4)),
        (LLAMA, "A100:7g.80gb", "bf16", Settings()),
    ],
)
def test_what_vllm_serves_has_no_reason_against_it(
    model: str, name: str, precision: str, settings: Settings
) -> None:
    assert refusals(load_facts(model), gpu(name), scheme(precision), settings) == []


@pytest.mark.parametrize(
    ("model", "name", "precision", "settings", "words"),
    [
        (LLAMA, "T4", "bf16", Settings(), "bf16 needs compute capability 8.0 or newer; T4 has 7.5"),
        (LLAMA, "B200", "int8-w8a8", Settings(), "int8-w8a8 is not there from compute capability 10.0 on"),
        (QWEN, "H100", "bf16", Settings(tensor=8), "8 GPUs do not divide 28 attention heads"),
        (LLAMA, "H100", "bf16", Settings(tensor=3), "3 GPUs do not divide 32 attention heads"),
        (LLAMA, "H100", "bf16", Settings(pipeline=33), "33 pipeline stages are more than the model's 32 layers"),
        (
            EXPERTS,
            "A100",
            "gptq-w4a16",
            Settings(tensor=4),
            "a group of 128 straddles the shards of experts.down on 4 GPUs (192 inputs each)",
        ),
        (
            QWEN,
            "A100",
            "gptq-w4a16",
            Settings(tensor=7),
            "7 GPUs and 4 KV heads do not divide each other",
        ),
        (
            EXPERTS,
            "H100",
            "fp8-block",
            Settings(tensor=4, version="0.19.0"),
            "a group of 128 straddles the shards of experts.down",
        ),
        (LLAMA, "T4", "fp16", Settings(kv_cache="fp8"), "fp8 KV cache needs compute capability 8.0 or newer"),
        (LLAMA, "H100", "bf16", Settings(context=200_000), "a context of 200,000 exceeds the model's 131,072"),
        (LLAMA, "A100:3g.40gb", "bf16", Settings(tensor=2), "parts cannot reach each other: one GPU a replica"),
        (LLAMA, "H100", "bnb-nf4", Settings(tensor=2, version="0.19.0"), "bnb-nf4 cannot be divided between 2"),
        ("google/gemma-2-9b-it", "A100", "fp16", Settings(), "does not serve gemma2 in fp16"),
        ("bundled:gemma-3-270m", "T4", "fp16", Settings(), "does not serve gemma3_text in fp16"),
        (LLAMA, "Gaudi-3", "bf16", Settings(), "the plugin vllm-gaudi does"),
    ],
)  # fmt: skip
def test_what_vllm_does_not_serve_says_why(
    model: str, name: str, precision: str, settings: Settings, words: str
) -> None:
    found = refusals(load_facts(model), gpu(name), scheme(precision), settings)
    assert words in found[0]


def test_the_vocabulary_is_padded_before_it_is_divided() -> None:
    """Qwen3 14B with 5 GPUs: 40 heads divide, its vocabulary of 151,936 does not."""
    facts = replace(load_facts(EXPERTS), heads=40, kv_heads=8, caches=(), weights=())
    assert refusals(facts, gpu("H100"), scheme("bf16"), Settings(tensor=5)) == [
        "5 GPUs do not divide the vocabulary of 151,936, padded to 64s"
    ]


def test_a_quantized_checkpoint_is_served_as_it_is() -> None:
    facts = _quantized(LLAMA, "fp8-w8a8")
    assert refusals(facts, gpu("H100"), scheme("fp8-w8a8"), Settings()) == []
    assert refusals(facts, gpu("H100"), scheme("bf16"), Settings()) == [
        "the checkpoint is quantized already (fp8-w8a8) and cannot be served in bf16"
    ]


def test_an_fp8_checkpoint_with_one_scale_a_matrix_is_not_served_on_a_processor() -> None:
    facts = load_facts(LLAMA)
    stored = Format(8, scale_bytes=4)
    weights = tuple(replace(each, format=stored) if each.quantized else each for each in facts.weights)
    facts = replace(facts, quantization=Quantization("fp8", "fp8-w8a8"), weights=weights)
    assert refusals(facts, gpu("H100"), scheme("fp8-w8a8"), Settings()) == []
    assert refusals(facts, gpu("cpu"), scheme("fp8-w8a8"), Settings()) == [
        "PyTorch scaled_mm takes a scale a row, and the weights have one scale a matrix"
    ]


def test_a_quantization_without_a_name_is_refused_by_its_method() -> None:
    facts = replace(load_facts(LLAMA), quantization=Quantization("quip", None))
    assert (
        "quip, which shipfit has no precision for"
        in refusals(facts, gpu("H100"), scheme("bf16"), Settings())[0]
    )


@pytest.mark.parametrize(
    ("version", "tensor", "words"),
    [
        (None, 1, "act order with groups of 128 has no kernel in this release"),
        ("0.27.1", 1, None),
        ("0.27.1", 2, None),  # by Marlin
    ],
)
def test_act_order_depends_on_the_release(version: str | None, tensor: int, words: str | None) -> None:
    facts = _quantized(LLAMA, "gptq-w4a16", method="gptq", act_order=True)
    found = refusals(facts, gpu("H100"), scheme("gptq-w4a16"), Settings(tensor=tensor, version=version))
    assert (words is None) == (found == [])
    assert words is None or words in found[0]


def test_a_gptq_checkpoint_of_experts_has_its_groups_cut() -> None:
    facts = _quantized(EXPERTS, "gptq-w4a16", method="gptq")
    assert refusals(facts, gpu("A100"), scheme("gptq-w4a16"), Settings(tensor=4)) == []


def test_a_checkpoint_that_asks_for_an_fp8_kv_cache_needs_its_kernel() -> None:
    facts = _quantized(LLAMA, "gptq-w4a16", kv_cache="fp8")
    assert "fp8 KV cache needs" in refusals(facts, gpu("T4"), scheme("gptq-w4a16"), Settings())[0]


def test_weights_alone_are_noted() -> None:
    facts = load_facts(LLAMA)
    assert notes(facts, gpu("A100"), scheme("fp8-w8a8"), Settings()) == [
        "FP8 runs as weights alone here (Marlin); memory is halved, compute stays at 16 bits"
    ]
    assert notes(facts, gpu("H100"), scheme("fp8-w8a8"), Settings()) == []


def test_what_is_no_release_is_refused() -> None:
    with pytest.raises(InputError, match="is no release of vLLM"):
        refusals(load_facts(LLAMA), gpu("H100"), scheme("bf16"), Settings(version="yesterday's"))


@given(
    model=st.sampled_from([LLAMA, QWEN, EXPERTS, "google/gemma-2-9b-it", "bundled:gemma-3-270m"]),
    name=st.sampled_from([each.name for each in gpus()]),
    precision=st.sampled_from(list(schemes())),
    power=st.integers(0, 3),
    parallel=st.booleans(),
    version=st.sampled_from([None, "0.6.3", "0.11.0", "0.19.0", "0.24.0", "0.32.0"]),
)
def test_one_gpu_is_never_refused_for_a_split(model, name, precision, power, parallel, version) -> None:
    facts, kind, place = load_facts(model), scheme(precision), gpu(name)
    found = refusals(facts, place, kind, Settings(1 << power, expert_parallel=parallel, version=version))
    assert all(reason and "\n" not in reason for reason in found)
    alone = refusals(facts, place, kind, Settings(version=version))
    assert not [reason for reason in alone if "GPUs" in reason and "AMD GPUs" not in reason]
    if kind.refusal(place, version):
        assert kind.refusal(place, version) in alone
