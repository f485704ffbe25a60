"""GPUs that no row of the fit is of, beside what others measured there with vLLM and published."""

from __future__ import annotations

import pytest

from shipfit.sizing import steady
from tests.unit.sizing.speed.conftest import MakeReplica

SMALL = "Qwen/Qwen2.5-0.5B-Instruct"
MISTRAL = "mistralai/Mistral-7B-Instruct-v0.3"


@pytest.mark.parametrize(
    (
        "model",
        "precision",
        "where",
        "version",
        "tensor",
        "concurrency",
        "tokens_in",
        "tokens_out",
        "measured_ms",
    ),
    [
        # johnmusgrave.com/p/vllm-throughput-latency-sweep-on: 75 tokens/s
        ("meta-llama/Llama-3.1-8B", "bf16", "A100-SXM4-40GB", "0.23.0", 1, 1, 1024, 128, 13.3),
        # ai.wmx.dev/benchmarks
        (SMALL, "bf16", "L4", "0.23.0", 1, 1, 256, 128, 5.1),
        (SMALL, "bf16", "L4", "0.23.0", 1, 32, 256, 128, 7.1),
        # github.com/noonghunna/club-3090, issue 697: 138 tokens/s
        ("Qwen/Qwen3-4B", "fp8-w8a8", "RTX-4090", "0.24.0", 1, 1, 200, 800, 7.25),
        # Qwen3 Coder on RTX 5090, r/LocalLLaMA, March 2026: 556 tokens/s of four requests
        ("Qwen/Qwen3-30B-A3B", "awq-w4a16", "RTX-5090", "0.16.0", 1, 4, 1000, 1000, 7.06),
        # blogs.oracle.com, Serving Llama 3.1 405B with AMD MI300X: 36 tokens/s
        ("meta-llama/Llama-3.1-405B", "fp8-w8a8", "MI300X", "0.6.3", 8, 1, 128, 128, 27.6),
    ],
)
def test_a_token_takes_about_as_long_as_was_published(
    replica: MakeReplica,
    model: str,
    precision: str,
    where: str,
    version: str,
    tensor: int,
    concurrency: int,
    tokens_in: int,
    tokens_out: int,
    measured_ms: float,
) -> None:
    one = replica(model, precision, where, tensor=tensor, version=version)
    assert measured_ms == pytest.approx(steady(one, concurrency, tokens_in, tokens_out).tpot_s * 1e3, rel=0.3)


@pytest.mark.parametrize(("concurrency", "measured"), [(4, 210), (8, 377), (16, 644)])
def test_requests_together_get_about_as_many_tokens_as_was_published(
    replica: MakeReplica, concurrency: int, measured: float
) -> None:
    """Source: mushfiqrahman.dev, Mistral 7B on RTX 4090, answers of 100 tokens on average."""
    one = replica(MISTRAL, "bf16", "RTX-4090", version="0.16.0")
    assert measured == pytest.approx(steady(one, concurrency, 256, 100).tokens_per_s, rel=0.15)


@pytest.mark.parametrize(
    "where", ["T4", "A10G", "L4", "L40S", "RTX-3090", "RTX-4090", "A100-SXM4-40GB", "H100-PCIE-80GB"]
)
def test_one_request_reads_the_weights_at_a_likely_share_of_the_bandwidth(
    replica: MakeReplica, where: str
) -> None:
    one = replica("meta-llama/Llama-3.1-8B", "awq-w4a16" if where == "T4" else "bf16", where)
    weights = sum(each.bytes for each in (*one.work.dense, *one.work.head))
    share = weights / (steady(one, 1, 256, 256).tpot_s * one.gpu.bandwidth_gb_s * 1e9)
    assert 0.55 <= share <= 0.9
