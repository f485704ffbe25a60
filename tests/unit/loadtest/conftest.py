"""A report, a plan and a manifest to render and to judge, of figures as a small machine gives them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipfit.artifacts import Manifest
from shipfit.loadtest import LoadTestReport
from shipfit.loadtest.generator import Traffic
from shipfit.loadtest.records import RequestRecord
from shipfit.loadtest.run import make_report
from shipfit.serve.local import Running
from shipfit.sizing import Plan
from shipfit.spec import Deployment, Workload

PLAN = {
    "apiVersion": "shipfit/v1",
    "name": "small",
    "model": "bundled:gemma-3-270m",
    "precision": "gptq-w4a16",
    "gpu": "cpu",
    "tensor_parallel": 1,
    "replicas": 2,
    "cores": 1,
    "max_model_len": 1024,
    "max_num_seqs": 8,
    "kv_cache_gib": 1,
    "memory": {
        "weights_gib": 0.39,
        "activation_gib": 0.05,
        "cuda_graph_gib": 0.0,
        "non_torch_gib": 1.2,
        "kv_cache_gib": 1.0,
        "kv_cache_tokens": 58254,
        "max_concurrency": 56.9,
    },
    "speed": {"ttft_ms": 540.0, "tpot_ms": 171.0, "output_tokens_per_s": 8.0, "overloaded": False},
    "reasons": ["precision gptq-w4a16: the deployment asks for it", "2 replicas: the deployment says so"],
    "rejected": [
        {"option": "bf16 on cpu", "reason": "the deployment asks for gptq-w4a16"},
        {"option": "fp8-w8a8 on cpu", "reason": "the processor has no kernel for it"},
    ],
}


def record(due: float, *, ttft: float = 0.6, tpot: float = 0.17, lag: float = 0.004) -> RequestRecord:
    """A request that succeeded. Seconds; ``ttft`` counted from the due time."""
    last = due + ttft + 15 * tpot
    return RequestRecord(
        scheduled_s=due,
        start_s=due + lag,
        first_token_s=due + ttft,
        last_token_s=last,
        end_s=last + 0.002,
        input_tokens=64,
        output_tokens=16,
    )


def failure(due: float, kind: str = "http-500", detail: str = "Server error") -> RequestRecord:
    """A request that failed."""
    return RequestRecord(scheduled_s=due, start_s=due, end_s=due + 0.1, error=kind, detail=detail)


@pytest.fixture
def records() -> list[RequestRecord]:
    source = random.Random(1)
    return [
        failure(due)
        if index in (7, 21)
        else record(due, ttft=source.gauss(0.75, 0.15), tpot=source.gauss(0.18, 0.02))
        for index, due in enumerate(sorted(source.uniform(0, 60) for _ in range(30)))
    ]


@pytest.fixture
def plan() -> Plan:
    return Plan.model_validate(PLAN)


@pytest.fixture
def manifest() -> Manifest:
    digest = "ab" * 32
    return Manifest.model_validate(
        {
            "schema_version": 1,
            "name": "gemma-3-270m-gptq-w4a16",
            "fingerprint": digest,
            "source": {"model": "bundled:gemma-3-270m", "revision": "c0ffee"},
            "recipe": {"precision": "gptq-w4a16"},
            "engine": {"name": "llm-compressor", "version": "0.13.0", "lock_sha256": digest},
            "dataset": {"calibration_sha256": digest, "gate_sha256": digest},
            "gate": {
                "passed": True,
                "figures": {
                    "mean_kl": 0.0712,
                    "p99_kl": 0.61,
                    "top1_agreement": 0.884,
                    "perplexity_ratio": 1.043,
                },
                "limits": {
                    "max_mean_kl": 0.1,
                    "max_p99_kl": 1.0,
                    "min_top1_agreement": 0.85,
                    "max_perplexity_ratio": 1.1,
                },
            },
            "source_bytes": 536_000_000,
            "upload": "0" * 32,
            "files": [{"path": "model.safetensors", "bytes": 398_000_000, "sha256": digest}],
            "created_at": "2026-01-02T03:04:05Z",
        }
    )


@pytest.fixture
def make(plan: Plan) -> Callable[..., LoadTestReport]:
    """Makes the report of some records; ``slo`` as in a Deployment."""

    def build(
        records: Sequence[RequestRecord],
        *,
        slo: dict[str, float] | None = None,
        cpu_share: float | None = 0.1,
    ) -> LoadTestReport:
        workload = Workload(request_rate=0.5, duration_s=60, input_tokens=64, output_tokens=16)
        deployment = Deployment.model_validate(
            {
                "apiVersion": "shipfit/v1",
                "kind": "Deployment",
                "name": "small",
                "model": "bundled:gemma-3-270m",
                "hardware": [{"gpu": "cpu"}],
                "promise": {"context": 1024, "concurrency": 4},
                "slo": slo or {"ttft_p95_ms": 1500, "tpot_p95_ms": 500, "error_rate": 0.1},
                "workload": workload,
            }
        )
        running = Running(
            name="small",
            base_url="http://127.0.0.1:8841/v1",
            api_key="sk-secret",
            model_name="small",
            model_path=Path("model"),
            plan=plan,
            replicas=2,
        )
        moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        return make_report(deployment, workload, running, Traffic(list(records), cpu_share), moment)

    return build
