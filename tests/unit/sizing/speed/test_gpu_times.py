"""Measured: github.com/ai-dynamo/aiconfigurator, systems/silicon_sample.csv (70B in FP8, vLLM 0.11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.sizing.speed import prefill_s, step_s
from tests.unit.sizing.speed.conftest import MakeReplica, make_replica

SPARSE = "Qwen/Qwen3-30B-A3B"
REPLICAS = [
    make_replica(),
    make_replica(tensor=8),
    make_replica(pipeline=2, tensor=2),
    make_replica(SPARSE, "bf16", "H100-SXM5-80GB", tensor=2, expert_parallel=True),
    make_replica("moonshotai/Kimi-K2.5", "gptq-w4a16", "B200-SXM-180GB", tensor=8),
    make_replica("google/gemma-2-9b-it", "awq-w4a16", "L4", max_num_batched_tokens=512),
]


@pytest.mark.parametrize(
    ("name", "tensor", "batch", "measured_ms"),
    [
        ("H200-SXM-141GB", 1, 4, 22.05),
        ("H200-SXM-141GB", 1, 8, 24.10),
        ("H200-SXM-141GB", 2, 8, 14.83),
        ("H200-SXM-141GB", 4, 16, 11.29),
        ("H200-SXM-141GB", 8, 4, 7.93),
        ("B200-SXM-180GB", 1, 8, 16.93),
        ("B200-SXM-180GB", 4, 8, 7.99),
    ],
)
def test_decoding_is_as_fast_as_measured(
    replica: MakeReplica, name: str, tensor: int, batch: int, measured_ms: float
) -> None:
    one = replica(where=name, tensor=tensor, kv_cache="fp8", version="0.11.0")
    assert measured_ms == pytest.approx(step_s(one, batch, 1024 + 4096) * 1e3, rel=0.15)


@given(st.sampled_from(REPLICAS), st.floats(1, 300), st.floats(0, 300), st.integers(1, 100_000))
def test_more_requests_never_make_a_step_shorter(
    one: object, batch: float, more: float, context: int
) -> None:
    assert step_s(one, batch, context) <= step_s(one, batch + more, context)


@given(st.sampled_from(REPLICAS), st.integers(1, 200), st.integers(0, 100_000), st.integers(0, 100_000))
def test_more_context_never_makes_a_step_shorter(one: object, batch: int, context: int, more: int) -> None:
    assert step_s(one, batch, context) <= step_s(one, batch, context + more)


@given(st.sampled_from(REPLICAS), st.integers(1, 50_000), st.integers(0, 50_000), st.integers(0, 100))
def test_a_longer_prompt_never_takes_less(one: object, tokens: int, more: int, beside: int) -> None:
    assert prefill_s(one, tokens) <= prefill_s(one, tokens + more)
    assert one.times.added_s(tokens, beside) <= one.times.added_s(tokens + more, beside)


@given(st.sampled_from(REPLICAS), st.integers(1, 50_000), st.integers(1, 100))
def test_a_prompt_adds_less_to_steps_than_it_takes_alone(one: object, tokens: int, beside: int) -> None:
    assert one.times.added_s(tokens, beside) <= prefill_s(one, tokens)


@given(
    batch=st.integers(1, 64), context=st.integers(1, 20_000), name=st.sampled_from(["L40S", "H100-SXM5-80GB"])
)
def test_fewer_bits_of_the_same_kernel_are_never_slower(batch: int, context: int, name: str) -> None:
    eight, four = (
        step_s(make_replica(precision=each, where=name), batch, context)
        for each in ("int8-w8a16", "gptq-w4a16")
    )
    assert four <= eight


def test_fewer_bits_decode_faster(replica: MakeReplica) -> None:
    times = [step_s(replica(precision=each), 4, 1024) for each in ("bf16", "fp8-w8a8", "gptq-w4a16")]
    assert times == sorted(times, reverse=True)


def test_a_single_token_reads_its_own_experts_only(replica: MakeReplica) -> None:
    sparse = replica(SPARSE, "bf16", "H100-SXM5-80GB")
    one, many = (step_s(sparse, batch, 512) for batch in (1, 64))
    assert many > 2 * one


def test_a_batch_shares_experts_and_a_long_prompt_reads_nearly_all(replica: MakeReplica) -> None:
    one = replica(SPARSE, "bf16", "H100-SXM5-80GB")
    read = [
        step_s(one, batch, 1) - batch * (step_s(one, 100_001, 1) - step_s(one, 100_000, 1))
        for batch in (0, 1, 8, 64)
    ]
    first, eight, many = (each - read[0] for each in read[1:])
    assert first < eight < 8 * first
    assert eight < many < 128 / 8 * first


def test_the_fullest_gpu_of_expert_parallelism_counts(replica: MakeReplica) -> None:
    shared, apart = (
        step_s(replica(SPARSE, "bf16", "H100-SXM5-80GB", tensor=4, expert_parallel=each), 4, 1)
        for each in (False, True)
    )
    assert shared < apart


def test_pcie_is_slower_than_nvlink(replica: MakeReplica) -> None:
    slow, fast = (replica(where=name, tensor=2) for name in ("A100-PCIE-80GB", "A100-SXM4-80GB"))
    assert prefill_s(slow, 8192) > 1.2 * prefill_s(fast, 8192)
    assert step_s(slow, 1, 1) > step_s(fast, 1, 1)


def test_stages_share_the_batch_and_work_at_the_same_time(replica: MakeReplica) -> None:
    one, two = replica(), replica(pipeline=2)
    assert step_s(one, 32, 4096) > step_s(two, 32, 4096) > step_s(one, 16, 4096) * 0.99
    assert one.times.added_s(8192, 0) == pytest.approx(2 * two.times.added_s(8192, 0))
    assert prefill_s(one, 65_536) > prefill_s(two, 65_536) > prefill_s(one, 65_536) / 2


def test_without_cuda_graphs_every_step_pays_the_launches(replica: MakeReplica) -> None:
    graphs, eager = (replica(eager=each) for each in (False, True))
    assert step_s(graphs, 1, 1) < step_s(eager, 1, 1)
    assert prefill_s(graphs, 1000) == pytest.approx(prefill_s(eager, 1000))
