"""The real load generator against an upstream whose delays and faults are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.progress import NoProgress
from shipfit.loadtest import statistics
from shipfit.loadtest.generator import Target, Traffic, generate
from shipfit.loadtest.schedule import arrivals
from shipfit.spec import Workload

pytestmark = pytest.mark.integration

KEY = "sk-of-this-test"


@pytest.fixture
def send(upstream: Any, tokenizer_folder: Path, own_folders: Path) -> Callable[..., Traffic]:
    def run(workload: Workload, patience_s: float = 20.0) -> Traffic:
        target = Target(upstream.base_url, KEY, "some-model", tokenizer_folder / "tokenizer.json")
        return generate(
            target,
            workload,
            arrivals(workload),
            NoProgress(),
            log=own_folders / "log",
            patience_s=patience_s,
        )

    return run


def test_measures_the_delays_that_were_injected(
    upstream: Any, send: Callable[..., Traffic], own_folders: Path
) -> None:
    workload = Workload(request_rate=4, duration_s=5, input_tokens=32, output_tokens=20, seed=3)

    traffic = send(workload)

    records = traffic.records
    assert arrivals(workload) == [record.scheduled_s for record in records]
    assert [None] * 20 == [record.error for record in records]
    figures = statistics.latency(records)
    assert figures.ttft_ms is not None
    assert figures.tpot_ms is not None
    assert figures.e2e_ms is not None
    # Bounds are of a shared machine of two cores: never less than was injected, and little more at the median.
    assert upstream.ttft * 1000 <= figures.ttft_ms.p50 <= upstream.ttft * 1000 + 40
    assert pytest.approx(upstream.tpot * 1000, rel=0.15) == figures.tpot_ms.p50
    assert pytest.approx(50 + 19 * 10, rel=0.25) == figures.e2e_ms.p50
    assert {20} == {record.output_tokens for record in records}

    headers, body = upstream.seen[0]
    assert f"Bearer {KEY}" == headers["authorization"]
    assert ("some-model", 20, True, True) == (
        body["model"],
        body["max_tokens"],
        body["ignore_eos"],
        body["stream"],
    )
    prompts = [body["prompt"] for _headers, body in upstream.seen]
    assert {31} == {len(prompt.split()) for prompt in prompts}  # and one beginning-of-sequence token
    assert len(prompts) == len(set(prompts))

    written = [path for path in own_folders.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in written), "the key stays nowhere"
    assert not any((own_folders / "state" / "loadtest").iterdir())


def test_counts_every_kind_of_failure(upstream: Any, send: Callable[..., Traffic]) -> None:
    kinds = ("answer", "refuse", "stall", "disconnect", "truncate")
    upstream.behaviour = lambda index: kinds[index % len(kinds)]

    traffic = send(Workload(request_rate=5, duration_s=4, input_tokens=16, output_tokens=8), patience_s=3.0)

    counted = {error.kind: error.count for error in statistics.errors(traffic.records)}
    assert {"http-500": 4, "timeout": 4, "disconnect": 4, "truncated": 4} == counted
    assert 4 == sum(record.succeeded for record in traffic.records)
