from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shipfit.loadtest import LoadTestReport, compare
from shipfit.loadtest.records import RequestRecord
from shipfit.serve.measured import ReplicaMemory
from shipfit.sizing import Plan

MEMORY = ReplicaMemory(
    name="replica-0",
    weights_gib=None,
    checkpoint_gib=0.37,
    kv_cache_gib=1.0,
    kv_cache_tokens=58000,
    resident_gib=2.5,
)


def test_rows_hold_what_was_predicted_and_measured(
    make: Callable[..., LoadTestReport], records: list[RequestRecord], plan: Plan
) -> None:
    report = make(records)
    rows = {
        (row.quantity, row.unit): row
        for row in compare(plan, report, [MEMORY, replace(MEMORY, resident_gib=2.7)]).rows
    }
    memory = rows["memory of a replica", "GiB"]
    assert pytest.approx((2.64, 2.6, 2.6 / 2.64)) == (memory.predicted, memory.measured, memory.ratio)
    assert 0.37 == rows["weights of a replica", "GiB"].measured
    assert 58000 == rows["KV cache of a replica", "tokens"].measured
    first = rows["time to first token, mean", "ms"]
    assert report.latency.ttft_ms is not None
    assert (540.0, report.latency.ttft_ms.mean) == (first.predicted, first.measured)
    assert 8.0 == rows["output of all replicas", "tokens/s"].predicted


def test_what_is_not_known_has_no_row(
    make: Callable[..., LoadTestReport], records: list[RequestRecord], plan: Plan
) -> None:
    failed = [record.model_copy(update={"error": "timeout"}) for record in records]
    silent = replace(MEMORY, checkpoint_gib=None, kv_cache_gib=None, kv_cache_tokens=None)
    rows = compare(plan, make(failed), [silent]).rows
    assert ["memory of a replica"] == [row.quantity for row in rows]
    on_gpu = plan.model_copy(update={"gpu": "H100-SXM5-80GB", "speed": None})
    assert [] == compare(on_gpu, make(records), [silent]).rows
