from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.errors import VerdictError
from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.sizing import Plan, Pool, Prices, make_plan
from shipfit.spec import Deployment

LLAMA_70B = "meta-llama/Llama-3.3-70B-Instruct"
WORKLOAD = {"request_rate": 0.5, "input_tokens": 1024, "output_tokens": 128}


def deployment(**changes: Any) -> Deployment:
    values: dict[str, Any] = {
        "apiVersion": "shipfit/v1",
        "kind": "Deployment",
        "name": "d",
        "model": "meta-llama/Llama-3.1-8B",
        "hardware": [{"gpu": "L40S", "count": 1}],
        "promise": {"context": 8192, "concurrency": 8},
    }
    return Deployment.model_validate(values | changes)


def plan(prices: Prices | None = None, **changes: Any) -> Plan:
    spec = deployment(**changes)
    pools = [Pool(gpu(each.gpu), (each.count,)) for each in spec.hardware or []]
    return make_plan(spec, load_facts(spec.model), pools, prices)


def against(found: Plan) -> dict[str, str]:
    return {each.option: each.reason for each in found.rejected}


def requests(count: int) -> dict[str, int]:
    return {"context": 8192, "concurrency": count}


class TestRule:
    def test_sixteen_bits_where_they_hold_the_promise(self) -> None:
        found = plan()
        assert ("bf16", "L40S", 1, 1) == (found.precision, found.gpu, found.tensor_parallel, found.replicas)
        assert ("auto", 0.92) == (found.kv_cache_dtype, found.gpu_memory_utilization)
        assert "least aggressive" in found.reasons[0]
        assert against(found)["fp8-w8a8"].startswith("bf16 comes before it and holds the promise")

    def test_a_little_more_memory_then_8_bit_kv_then_fewer_bits_of_weights(self) -> None:
        held = plan().memory.max_concurrency
        steps = [plan(promise=requests(int(held * share))) for share in (1, 1.03, 1.5, 2.4)]
        found = [(each.precision, each.kv_cache_dtype, each.gpu_memory_utilization) for each in steps]
        assert [
            ("bf16", "auto", 0.92),
            ("bf16", "auto", 0.95),
            ("bf16", "fp8", 0.92),
            ("fp8-w8a8", "fp8", 0.92),
        ] == found
        assert any("its own default is not enough" in reason for reason in steps[1].reasons)
        assert any("KV cache is in fp8" in reason for reason in steps[2].reasons)

    def test_a_pinned_kv_format_or_utilization_is_kept(self) -> None:
        assert plan(kv_cache_dtype="fp8").kv_cache_dtype == "fp8"
        found = plan(kv_cache_dtype="auto", promise=requests(30))
        assert ("fp8-w8a8", "auto") == (found.precision, found.kv_cache_dtype)
        assert plan(gpu_memory_utilization=0.8).gpu_memory_utilization == 0.8

    def test_four_bits_where_eight_are_too_many(self) -> None:
        found = plan(model=LLAMA_70B, hardware=[{"gpu": "A100-SXM4-80GB"}])
        assert found.precision == "gptq-w4a16"
        assert against(found)["bf16 on 1 x A100-SXM4-80GB"].startswith(
            "weights of 131.4 GiB exceed the 75.2 GiB"
        )

    def test_16_bit_checkpoints_are_served_in_fp16_where_there_is_no_bf16(self) -> None:
        assert plan(hardware=[{"gpu": "T4", "count": 4}]).precision == "fp16"

    def test_a_pinned_precision_says_what_the_rule_would_have_chosen(self) -> None:
        found = plan(precision="gptq-w4a16")
        assert found.precision == "gptq-w4a16"
        assert found.reasons[0] == "gptq-w4a16 is pinned; the rule would choose bf16 on 1 x L40S"
        assert against(found)["bf16 or fp16"] == "deployment.precision pins gptq-w4a16"
        assert plan(precision="bf16").reasons[0] == "bf16 is pinned, and the rule chooses it too"

    def test_below_4_bits_only_by_pin(self) -> None:
        assert not any("gguf" in option for option in against(plan()))
        with pytest.raises(VerdictError, match="gguf-q2_k on 1 x L40S: "):  # considered, whatever comes of it
            plan(precision="gguf-q2_k")

    def test_a_quantized_checkpoint_is_served_as_it_is(self) -> None:
        found = plan(model="RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic")
        assert found.precision == "fp8-w8a8"
        assert "quantized already (fp8-w8a8)" in against(found)["bf16 on 1 x L40S"]
        assert "quantized already (fp8-w8a8)" in against(found)["gptq-w4a16"]


class TestHardware:
    def test_the_fewest_gpus_of_the_first_precision(self) -> None:
        found = plan(model=LLAMA_70B, hardware=[{"gpu": "H100-SXM5-80GB", "count": 8}])
        assert ("bf16", 4, 1) == (found.precision, found.tensor_parallel, found.pipeline_parallel)
        assert against(found)["bf16 on 4 x H100-SXM5-80GB (2 stages)"].endswith("is simpler")

    def test_every_gpu_at_hand_is_compared_by_memory(self) -> None:
        found = plan(hardware=[{"gpu": "H100-SXM5-80GB"}, {"gpu": "L40S"}])
        assert found.gpu == "L40S"
        expected = (
            "takes at least 80 GB of memory, and bf16 on 1 x L40S holds the promise for 48 GB of memory"
        )
        assert against(found)["bf16 on 1 x H100-SXM5-80GB"] == expected

    def test_the_cheapest_by_the_users_prices(self) -> None:
        prices = Prices("EUR", {"H100-SXM5-80GB": 2.0, "L40S": 3.0})
        found = plan(prices, hardware=[{"gpu": "L40S"}, {"gpu": "H100-SXM5-80GB"}], workload=WORKLOAD)
        assert found.gpu == "H100-SXM5-80GB"
        assert found.cost is not None
        assert ("EUR", 2.0) == (found.cost.currency, found.cost.hour)
        assert found.cost.million_tokens == pytest.approx(2.0 / (0.5 * 3600 * (1024 + 128)) * 1e6, rel=1e-3)
        expected = (
            "takes at least 3.00 EUR an hour, and bf16 on 1 x H100-SXM5-80GB holds the promise for 2.00 EUR"
        )
        assert against(found)["bf16 on 1 x L40S"].startswith(expected)

    def test_a_replica_stays_within_a_machine_unless_it_may_span_several(self) -> None:
        facts, machines = load_facts(LLAMA_70B), Pool(gpu("H100-SXM5-80GB"), (2, 2))
        spec = {"model": LLAMA_70B, "promise": requests(40)}
        within = make_plan(deployment(**spec), facts, [machines])
        across = make_plan(deployment(**spec, across_machines=True), facts, [machines])
        assert ("fp8-w8a8", 2) == (within.precision, within.gpus)
        assert ("bf16", 2, 2) == (across.precision, across.tensor_parallel, across.pipeline_parallel)
        assert (1, 2, 2) == (within.machines, across.machines, across.gpus_each)
        told = "a replica spans 2 machines of 2 GPUs: 2 of a machine share each layer, and 2 stages of layers follow"
        assert any(reason.startswith(told) for reason in across.reasons)

    def test_as_many_replicas_as_the_promise_needs(self) -> None:
        found = plan(hardware=[{"gpu": "L4", "count": 4}], promise=requests(12))
        assert found.memory.max_concurrency * found.replicas >= 12
        assert found.replicas * found.gpus <= 4

    def test_pinned_replicas_never_take_more_gpus_than_there_are(self) -> None:
        assert plan(hardware=[{"gpu": "L40S", "count": 2}], replicas=2).replicas == 2
        with pytest.raises(VerdictError, match="3 replicas of 1 need 3 L40S, and 2 are at hand"):
            plan(hardware=[{"gpu": "L40S", "count": 2}], replicas=3)

    def test_a_spare_is_kept_free_and_paid_for(self) -> None:
        found = plan(Prices("USD", {"L40S": 1.5}), hardware=[{"gpu": "L40S", "count": 2}], spare=True)
        assert (1, 1) == (found.replicas, found.spare)
        assert found.cost is not None
        assert found.cost.hour == 3.0
        with pytest.raises(VerdictError, match="2 replicas of 1, the spare among them, need 2 L40S"):
            plan(spare=True)

    def test_replicas_on_a_processor_share_its_cores_and_memory(self) -> None:
        processor = gpu("cpu")
        assert processor.cpu is not None
        cores = processor.cpu.cores
        spec = deployment(
            model="bundled:gemma-3-270m",
            precision="gptq-w4a16",
            hardware=[{"gpu": "cpu", "count": cores}],
            promise={"context": 1024, "concurrency": 2},
        )
        found = make_plan(spec, load_facts(spec.model), [Pool(processor, (cores,))])
        assert ("cpu", 1, cores, 1) == (found.gpu, found.replicas, found.cores, found.kv_cache_gib)
        assert found.gpu_memory_utilization is None
        assert 51 < found.memory.max_concurrency < 53


class TestSpeed:
    def test_without_a_workload_no_speed_is_claimed(self) -> None:
        assert plan().speed is None

    @pytest.mark.parametrize(
        ("share", "reason"),
        [(0.999, "on average exceeds the 95th percentile's limit"), (0.8, "TPOT of a request that is alone")],
    )
    def test_a_limit_that_the_mean_exceeds_rules_an_option_out(self, share: float, reason: str) -> None:
        slow = plan(workload=WORKLOAD)
        assert slow.speed is not None
        found = plan(workload=WORKLOAD, slo={"tpot_p95_ms": slow.speed.tpot_ms * share})
        assert found.precision != "bf16" or found.kv_cache_dtype == "fp8"
        assert reason in against(found)["bf16 on 1 x L40S"]

    def test_more_replicas_where_arrivals_need_them(self) -> None:
        workload = {"request_rate": 4.0, "input_tokens": 4096, "output_tokens": 256}
        found = plan(hardware=[{"gpu": "L40S", "count": 8}], workload=workload)
        assert found.replicas > 1
        assert found.speed is not None
        assert not found.speed.overloaded

    def test_the_largest_rate_is_at_least_the_workloads(self) -> None:
        found = plan(workload=WORKLOAD, slo={"ttft_p95_ms": 2000, "tpot_p95_ms": 100})
        assert found.speed is not None
        assert found.speed.max_request_rate is not None
        assert found.speed.max_request_rate >= WORKLOAD["request_rate"]


class TestDocument:
    def test_it_reads_back(self) -> None:
        found = plan(workload=WORKLOAD)
        assert found == Plan.model_validate_json(found.model_dump_json())

    @pytest.mark.parametrize("stages", [1, 2])
    def test_its_terms_add_up(self, stages: int) -> None:
        facts = load_facts(LLAMA_70B)
        spec = deployment(model=LLAMA_70B, promise=requests(40), across_machines=stages > 1)
        machines = (4,) if stages == 1 else (2, 2)
        found = make_plan(spec, facts, [Pool(gpu("H100-SXM5-80GB"), machines)])
        assert stages == found.pipeline_parallel
        for part in ("weights", "activation", "cuda_graph", "non_torch", "kv_cache"):
            total = sum(term.gib for term in found.terms if term.part == part)
            assert total == pytest.approx(getattr(found.memory, f"{part}_gib"), abs=0.01), part

    def test_quality_is_said_with_its_source(self) -> None:
        found = plan(precision="int8-w8a8").quality
        assert found is not None
        assert not found.measured
        assert found.source
        own = plan().quality
        assert own is not None
        assert own.loss == "0%: nothing is converted"


class TestNothingFits:
    def test_it_says_why_for_each_precision(self) -> None:
        with pytest.raises(VerdictError) as caught:
            plan(model=LLAMA_70B, hardware=[{"gpu": "T4"}])
        line = str(caught.value)
        assert caught.value.exit_code == 1
        assert "gptq-w4a16 on 1 x T4: weights of 36.8 GiB exceed the 14.0 GiB usable on T4" in line
        assert "fp8-w8a8 on 1 x T4: " in line
        assert "\n" not in line


@given(st.integers(1, 60))
def test_more_concurrency_never_takes_less(count: int) -> None:
    hardware = [{"gpu": "L40S", "count": 8}]
    fewer, more = (
        plan(hardware=hardware, promise=requests(each), precision="bf16") for each in (count, count + 5)
    )
    assert fewer.replicas * fewer.gpus <= more.replicas * more.gpus
