"""Measured: github.com/ai-dynamo/aiconfigurator, systems/silicon_sample.csv (70B, vLLM 0.11)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.sizing import Speed, max_rate, serve, steady
from tests.unit.sizing.speed.conftest import MakeReplica, make_replica

TWO = make_replica(tensor=2)


@pytest.mark.parametrize(
    ("precision", "where", "tensor", "concurrency", "tokens_in", "tokens_out", "ttft_ms", "tpot_ms"),
    [
        ("fp8-w8a8", "H200-SXM-141GB", 2, 32, 8192, 1024, 1821, 46.07),
        ("fp8-w8a8", "H200-SXM-141GB", 8, 16, 1024, 8192, 101, 9.75),
        ("nvfp4", "B200-SXM-180GB", 1, 64, 8192, 1024, 1904, 50.34),
        ("nvfp4", "B200-SXM-180GB", 4, 8, 1024, 1024, 88, 7.64),
    ],
)
def test_users_see_what_was_measured(
    replica: MakeReplica,
    precision: str,
    where: str,
    tensor: int,
    concurrency: int,
    tokens_in: int,
    tokens_out: int,
    ttft_ms: float,
    tpot_ms: float,
) -> None:
    one = replica(precision=precision, where=where, tensor=tensor, kv_cache="fp8", version="0.11.0")
    speed = steady(one, concurrency, tokens_in, tokens_out)
    assert tpot_ms == pytest.approx(speed.tpot_s * 1e3, rel=0.2)
    assert ttft_ms == pytest.approx(speed.ttft_s * 1e3, rel=0.3)


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 20_000), st.integers(1, 2000))
def test_always_so_many_in_flight_obeys_littles_law(
    concurrency: int, seats: int, tokens_in: int, tokens_out: int
) -> None:
    speed = steady(TWO, concurrency, tokens_in, tokens_out, seats=seats)
    requests_per_s = speed.tokens_per_s / tokens_out
    assert concurrency == pytest.approx(requests_per_s * speed.request_s(tokens_out))
    assert min(concurrency, seats) == speed.in_flight
    assert (concurrency > seats) == speed.overloaded


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 20_000), st.integers(1, 2000))
def test_more_in_flight_is_never_faster_for_one(
    concurrency: int, more: int, tokens_in: int, tokens_out: int
) -> None:
    few, many = (steady(TWO, each, tokens_in, tokens_out) for each in (concurrency, concurrency + more))
    assert few.tpot_s <= many.tpot_s * (1 + 1e-9)
    assert few.ttft_s <= many.ttft_s * (1 + 1e-9)


def test_others_prompts_lengthen_the_tokens_of_all() -> None:
    short, long = (steady(TWO, 32, tokens_in, 256).tpot_s for tokens_in in (128, 8192))
    assert long > 2 * short


@given(st.integers(2, 500), st.integers(1, 20_000), st.integers(2, 2000))
def test_no_token_takes_longer_than_a_full_step(concurrency: int, tokens_in: int, tokens_out: int) -> None:
    times = TWO.times
    decode = times.step_s(concurrency, tokens_in + tokens_out / 2)
    prompts = max(times.budget - concurrency + 1, 1) / tokens_in
    full = decode + prompts * times.added_s(tokens_in, concurrency - 1, max(prompts, 1))
    assert steady(TWO, concurrency, tokens_in, tokens_out).tpot_s <= full * (1 + 1e-9)


def test_a_step_full_of_prompts_is_one_launch() -> None:
    """Measured: github.com/gpustack/gpustack, docs/performance-lab/gpt-oss-120b/h100.md (128 + 4 tokens)."""
    one = make_replica("openai/gpt-oss-120b", "mxfp4", "H100-SXM5-80GB", tensor=2, version="0.10.2")
    assert 183 == pytest.approx(steady(one, 1000, 128, 4).tpot_s * 1e3, rel=0.3)


@given(rate=st.floats(0.01, 6), more=st.floats(0, 6))
def test_more_arrivals_never_make_it_faster(rate: float, more: float) -> None:
    calm, busy = (serve(TWO, 1, each, 1024, 256, 64) for each in (rate, rate + more))
    assert calm.tpot_s <= busy.tpot_s * 1.001
    assert calm.ttft_s <= busy.ttft_s * 1.001
    assert calm.in_flight <= busy.in_flight * 1.001


@given(rate=st.floats(0.01, 3), tokens_in=st.integers(1, 8192), tokens_out=st.integers(1, 512))
def test_arrivals_obey_littles_law(rate: float, tokens_in: int, tokens_out: int) -> None:
    speed = serve(TWO, 1, rate, tokens_in, tokens_out, 256)
    served = rate if not speed.overloaded else speed.tokens_per_s / tokens_out
    assert speed.in_flight == pytest.approx(served * speed.request_s(tokens_out), rel=0.02)
    assert served * tokens_out == pytest.approx(speed.tokens_per_s)


def test_what_arrives_faster_than_it_is_answered_is_called_overloaded() -> None:
    speed = serve(TWO, 1, 500, 1024, 256, 64)
    assert speed.overloaded
    assert speed.tokens_per_s < 500 * 256
    assert 64 == speed.in_flight
    assert math.isfinite(speed.tpot_s)


def test_replicas_share_the_arrivals(replica: MakeReplica) -> None:
    one, two = (serve(TWO, replicas, 2.0, 1024, 256, 64) for replicas in (1, 2))
    assert two.in_flight < one.in_flight
    assert two.tpot_s < one.tpot_s
    assert one.tokens_per_s == two.tokens_per_s


def test_without_limits_the_largest_rate_takes_all_seats() -> None:
    most = max_rate(TWO, 1024, 256, 64)
    assert not serve(TWO, 1, most * 0.999, 1024, 256, 64).overloaded
    assert serve(TWO, 1, most * 1.001, 1024, 256, 64).overloaded


@given(
    ttft=st.floats(0.05, 2),
    tpot=st.floats(0.01, 0.1),
    e2e=st.floats(1, 60),
    looser=st.floats(1, 3),
)
def test_a_looser_limit_never_lowers_the_rate(ttft: float, tpot: float, e2e: float, looser: float) -> None:
    strict = max_rate(TWO, 1024, 256, 64, ttft_s=ttft, tpot_s=tpot, e2e_s=e2e)
    loose = max_rate(TWO, 1024, 256, 64, ttft_s=ttft * looser, tpot_s=tpot * looser, e2e_s=e2e * looser)
    assert strict <= loose * 1.001


@given(tpot=st.floats(0.016, 0.05))
def test_the_largest_rate_holds_the_limit_and_reaches_it(tpot: float) -> None:
    rate = max_rate(TWO, 1024, 256, 64, tpot_s=tpot)
    reached = serve(TWO, 1, rate, 1024, 256, 64)
    assert reached.tpot_s <= tpot * 1.001
    if rate < max_rate(TWO, 1024, 256, 64):
        assert tpot == pytest.approx(reached.tpot_s, rel=0.01)


def test_a_limit_that_one_request_exceeds_allows_none() -> None:
    assert 0 == max_rate(TWO, 1024, 256, 64, tpot_s=0.001)


def test_a_request_is_its_first_token_and_the_others() -> None:
    assert 1.5 + 9 * 0.1 == pytest.approx(Speed(1.5, 0.1, 1, 1, False).request_s(10))
