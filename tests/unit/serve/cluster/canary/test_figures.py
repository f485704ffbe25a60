from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.serve.cluster.canary.figures import (
    Counters,
    Requests,
    Series,
    of_replica,
    of_router,
    percentile,
)

ENVOY = """\
# TYPE envoy_cluster_endpoint_rq_error counter
envoy_cluster_endpoint_rq_error{envoy_cluster_name="chat-main-canary",envoy_endpoint_address="10.0.0.4:8000",envoy_endpoint_hostname="chat-main-canary.llm.svc"} 3
envoy_cluster_endpoint_rq_total{envoy_cluster_name="chat-main-canary",envoy_endpoint_address="10.0.0.4:8000",envoy_endpoint_hostname="chat-main-canary.llm.svc"} 61
envoy_cluster_endpoint_rq_total{envoy_cluster_name="chat-main",envoy_endpoint_address="10.0.0.2:8000",envoy_endpoint_hostname="chat-main.llm.svc"} 102
envoy_cluster_endpoint_rq_success{envoy_cluster_name="chat-main",envoy_endpoint_address="10.0.0.2:8000",envoy_endpoint_hostname="chat-main.llm.svc"} 102
envoy_cluster_upstream_rq_total{envoy_cluster_name="chat-main"} 102
"""
VLLM = """\
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.5",model_name="m"} 8.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="1.0",model_name="m"} 10.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 10.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 10.0
vllm:request_queue_time_seconds_bucket{engine="0",le="0.3",model_name="m"} 10.0
"""


def test_the_routers_counts_are_read_by_version() -> None:
    assert {
        ("failed", "chat-main-canary", 3.0),
        ("asked", "chat-main-canary", 61.0),
        ("asked", "chat-main", 102.0),
    } == {(series.what, series.of, value) for series, value in of_router("router-0", ENVOY).items()}


def test_latencies_are_those_of_the_window() -> None:
    counters = Counters({})
    counters.add(of_replica("canary-0", VLLM))
    counters.add(
        of_replica("canary-0", VLLM.replace('le="+Inf",model_name="m"} 10', 'le="+Inf",model_name="m"} 30'))
    )
    seen = counters.seen("chat-main", "chat-main-canary")
    assert {"ttft": 1000.0} == seen.p95_ms
    assert Requests(0, 0) == seen.canary
    later = Counters(of_replica("canary-0", VLLM))
    later.add(of_replica("canary-0", VLLM))
    assert {} == later.seen("chat-main", "chat-main-canary").p95_ms


def test_a_percentile_lies_on_a_line_through_its_bucket() -> None:
    assert None is percentile({})
    assert None is percentile({"1.0": 0.0, "+Inf": 0.0})
    assert pytest.approx(0.5 + 0.5 * 1.5 / 2) == percentile({"0.5": 8.0, "1.0": 10.0, "+Inf": 10.0})
    assert pytest.approx(0.95) == percentile({"1.0": 10.0, "+Inf": 10.0})
    assert 1.0 == percentile({"1.0": 1.0, "+Inf": 10.0})  # beyond the last bound that is a number


@given(st.lists(st.floats(0.001, 9), min_size=1, max_size=200))
def test_a_percentile_lies_in_the_bucket_that_holds_it(values: list[float]) -> None:
    bounds = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0]
    found = percentile(
        {str(each): float(sum(v <= each for v in values)) for each in bounds} | {"+Inf": len(values)}
    )
    rank = sorted(values)[-(-95 * len(values) // 100) - 1]
    upper = next(each for each in bounds if rank <= each)
    lower = max((each for each in bounds if each < upper), default=0.0)
    assert found is not None
    assert lower <= found <= upper


def asked(pod: str, value: float, part: str = "10.0.0.4:8000") -> dict[Series, float]:
    return {Series(pod, "asked", "canary", part): value}


def test_pods_may_come_restart_and_go() -> None:
    counters = Counters(asked("a", 100))
    counters.add(
        asked("a", 130) | asked("a", 5, "10.0.0.5:8000") | asked("b", 7)
    )  # a replica and a router came
    counters.add(asked("a", 10))  # restarted; and b does not answer
    counters.add(asked("b", 9))
    assert 30 + 5 + 7 + 10 + 2 == counters.seen("stable", "canary").canary.total
