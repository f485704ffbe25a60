"""Bounds are sound: what they rule out, sizing and timing rule out too."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.precision import scheme
from shipfit.sizing import serve, size
from shipfit.sizing.planning.bounds import too_large, too_slow_alone
from shipfit.sizing.planning.examine import replica_of
from shipfit.sizing.planning.options import Option, Pool
from shipfit.sizing.planning.task import Task
from shipfit.spec import Deployment

MODELS = (
    "meta-llama/Llama-3.1-8B",
    "google/gemma-3-27b-it",
    "Qwen/Qwen3-30B-A3B",
    "deepseek-ai/DeepSeek-V2-Lite-Chat",
)
FACTS = {name: load_facts(name) for name in MODELS}
GPUS = tuple(gpu(name) for name in ("L4", "L40S", "H100-SXM5-80GB"))


def task(model: str, context: int, concurrency: int, **changes: Any) -> Task:
    values = {
        "apiVersion": "shipfit/v1",
        "kind": "Deployment",
        "name": "d",
        "model": model,
        "promise": {"context": context, "concurrency": concurrency},
    }
    return Task(Deployment.model_validate(values | changes), FACTS[model], [])


def option(kind: Any, tensor: int, kv: Any = "auto") -> Option:
    return Option(scheme("bf16"), kv, Pool(kind, (tensor,)), tensor, 1, 1)


@given(
    st.sampled_from(MODELS),
    st.sampled_from(GPUS),
    st.sampled_from([1, 2, 4]),
    st.sampled_from(["auto", "fp8"]),
    st.integers(64, 8192),
    st.integers(1, 400),
)
def test_what_is_too_large_at_a_glance_does_not_fit(
    model: str, kind: Any, tensor: int, kv: str, context: int, concurrency: int
) -> None:
    asked, each = task(model, context, concurrency), option(kind, tensor, kv)
    if too_large(asked, each, 1, 0.95):
        seqs = 1 << math.ceil(math.log2(concurrency + 1))
        settings = each.settings(context, seqs, 0.95)
        assert not size(FACTS[model], kind, each.scheme, settings, concurrency=concurrency).fits


@given(st.sampled_from(MODELS), st.sampled_from(GPUS), st.floats(1, 100), st.floats(0.01, 5))
def test_what_is_too_slow_alone_is_too_slow_under_load(
    model: str, kind: Any, limit: float, rate: float
) -> None:
    workload = {"request_rate": rate, "input_tokens": 1000, "output_tokens": 100}
    asked = task(model, 2048, 8, workload=workload, slo={"tpot_p95_ms": limit})
    replica = replica_of(asked, option(kind, 1), 1)
    if too_slow_alone(asked, replica):
        assert serve(replica, 1, rate, 1000, 100, 64.0).tpot_s * 1e3 > limit


def test_the_reason_has_the_figures() -> None:
    reason = too_large(task(MODELS[0], 8192, 400), option(GPUS[1], 1), 1, 0.95)
    assert reason is not None
    assert reason.startswith(
        "beside weights of 15.0 GiB there is room for 27.2 requests of 8,192 tokens at most, and"
    )
    assert too_large(task(MODELS[0], 8192, 400), option(GPUS[1], 1), 100, 0.95) is None


@pytest.mark.parametrize("name", ["ttft", "tpot"])
def test_without_a_workload_nothing_is_too_slow(name: str) -> None:
    asked = task(MODELS[0], 2048, 8, slo={f"{name}_p95_ms": 0.001})
    assert too_slow_alone(asked, replica_of(asked, option(GPUS[0], 1), 1)) is None
