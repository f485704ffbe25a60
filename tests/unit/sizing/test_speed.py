"""Against measured speed: github.com/ai-dynamo/aiconfigurator, systems/silicon_sample.csv (70B in FP8, vLLM)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.precision import scheme
from shipfit.sizing import Replica, serve
from shipfit.sizing.speed import prefill_s, step_s

LLAMA = load_facts("meta-llama/Llama-3.3-70B-Instruct")
QWEN = load_facts("Qwen/Qwen3-30B-A3B")


def replica(name: str = "H200-SXM-141GB", gpus: int = 1, precision: str = "fp8-w8a8") -> Replica:
    return Replica(LLAMA, scheme(precision), gpu(name), gpus)


@pytest.mark.parametrize(
    ("name", "gpus", "batch", "measured_ms"),
    [
        ("H200-SXM-141GB", 1, 4, 22.05),
        ("H200-SXM-141GB", 1, 8, 24.10),
        ("H200-SXM-141GB", 2, 8, 14.83),
        ("H200-SXM-141GB", 4, 16, 10.94),
        ("H200-SXM-141GB", 8, 4, 7.93),
        ("B200-SXM-180GB", 1, 8, 16.93),
        ("B200-SXM-180GB", 4, 8, 7.99),
    ],
)
def test_decoding_is_as_fast_as_measured(name: str, gpus: int, batch: int, measured_ms: float) -> None:
    predicted = step_s(replica(name, gpus), batch, 1024 + 4096) * 1e3
    assert measured_ms == pytest.approx(predicted, rel=0.25)


@given(batch=st.integers(1, 200), more=st.integers(0, 200), context=st.integers(1, 100_000))
def test_more_requests_never_make_a_step_shorter(batch: int, more: int, context: int) -> None:
    assert step_s(replica(), batch, context) <= step_s(replica(), batch + more, context)


@given(tokens=st.integers(1, 50_000), more=st.integers(0, 50_000), power=st.integers(0, 3))
def test_a_longer_prompt_never_takes_less(tokens: int, more: int, power: int) -> None:
    one = replica(gpus=1 << power)
    assert prefill_s(one, tokens) <= prefill_s(one, tokens + more)


def test_fewer_bits_decode_faster() -> None:
    times = [step_s(replica(precision=each), 4, 1024) for each in ("bf16", "fp8-w8a8", "gptq-w4a16")]
    assert times == sorted(times, reverse=True)


def test_a_single_token_reads_its_own_experts_only() -> None:
    sparse = Replica(QWEN, scheme("bf16"), gpu("H100-SXM5-80GB"), 1)
    one, many = (step_s(sparse, batch, 512) for batch in (1, 64))
    assert many > 3 * one


@given(rate=st.floats(0.01, 2), more=st.floats(0, 2))
def test_more_arrivals_never_make_it_faster(rate: float, more: float) -> None:
    calm, busy = (serve(replica(gpus=2), 1, each, 1024, 256, 64) for each in (rate, rate + more))
    assert calm.tpot_s <= busy.tpot_s * 1.0001
    assert calm.in_flight <= busy.in_flight * 1.0001


def test_in_flight_obeys_littles_law() -> None:
    speed = serve(replica(gpus=4), 1, 1.5, 1024, 256, 64)
    assert speed.in_flight == pytest.approx(1.5 * (speed.ttft_s + speed.tpot_s * 255), rel=0.01)
    assert speed.tokens_per_s == pytest.approx(1.5 * 256)
    assert not speed.overloaded


def test_what_arrives_faster_than_it_is_answered_is_called_overloaded() -> None:
    speed = serve(replica(), 1, 50, 1024, 256, 64)
    assert speed.overloaded
    assert speed.tokens_per_s < 50 * 256


def test_replicas_share_the_arrivals() -> None:
    one, two = (serve(replica(gpus=2), replicas, 2.0, 1024, 256, 64) for replicas in (1, 2))
    assert two.in_flight < one.in_flight
    assert two.tpot_s < one.tpot_s
