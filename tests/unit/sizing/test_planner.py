from __future__ import annotations

from typing import Any

import pytest

from shipfit.core.errors import VerdictError
from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.sizing import Plan, make_plan
from shipfit.spec import Deployment


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


def plan(**changes: Any) -> Plan:
    spec = deployment(**changes)
    return make_plan(spec, load_facts(spec.model), [(gpu(each.gpu), each.count) for each in spec.hardware])


def against(found: Plan) -> dict[str, str]:
    return {each.option: each.reason for each in found.rejected}


def test_sixteen_bits_where_they_hold_the_promise() -> None:
    found = plan()
    assert ("bf16", "L40S", 1, 1) == (found.precision, found.gpu, found.tensor_parallel, found.replicas)
    assert "least aggressive" in found.reasons[0]
    assert against(found)["fp8-w8a8"] == "bf16 comes before it and holds the promise"
    assert against(found)["nvfp4 on 1 x L40S"] == "nvfp4 needs compute capability 10.0 or newer; L40S has 8.9"


def test_fewer_bits_only_as_far_as_needed() -> None:
    assert plan(promise={"context": 8192, "concurrency": 30}).precision == "fp8-w8a8"
    assert plan(promise={"context": 8192, "concurrency": 34}).precision == "gptq-w4a16"


def test_the_first_reason_says_the_figures() -> None:
    found = plan(
        model="meta-llama/Llama-3.3-70B-Instruct",
        hardware=[{"gpu": "A100-SXM4-80GB"}],
    )
    assert found.precision == "gptq-w4a16"
    assert against(found)["bf16 on 1 x A100-SXM4-80GB"].startswith(
        "weights of 131.4 GiB exceed the 72.8 GiB usable"
    )


def test_the_fewest_gpus_of_the_first_precision() -> None:
    found = plan(model="meta-llama/Llama-3.3-70B-Instruct", hardware=[{"gpu": "H100-SXM5-80GB", "count": 8}])
    assert ("bf16", 4) == (found.precision, found.tensor_parallel * found.replicas)


def test_as_many_replicas_as_the_promise_needs() -> None:
    found = plan(hardware=[{"gpu": "L4", "count": 4}], promise={"context": 8192, "concurrency": 12})
    assert ("bf16", 4, 1) == (
        found.precision,
        found.replicas,
        found.tensor_parallel,
    ) or found.tensor_parallel > 1
    assert found.memory.max_concurrency * found.replicas >= 12
    assert found.replicas * found.tensor_parallel <= 4


def test_a_pinned_precision_says_what_the_rule_would_have_chosen() -> None:
    found = plan(precision="gptq-w4a16")
    assert found.precision == "gptq-w4a16"
    assert found.reasons[0] == "gptq-w4a16 is pinned; the rule would choose bf16 on 1 x L40S"
    assert against(found)["bf16"] == "deployment.precision pins gptq-w4a16"
    assert plan(precision="bf16").reasons[0] == "bf16 is pinned, and the rule chooses it too"


def test_what_only_a_pin_chooses_is_otherwise_not_an_option() -> None:
    assert not any("gguf" in option for option in against(plan()))
    assert plan(precision="gguf-q4_k_m").precision == "gguf-q4_k_m"


def test_pinned_replicas_never_take_more_gpus_than_there_are() -> None:
    assert plan(hardware=[{"gpu": "L40S", "count": 2}], replicas=2).replicas == 2
    with pytest.raises(VerdictError, match="3 replicas of 1 need 3 L40S, and 2 are at hand"):
        plan(hardware=[{"gpu": "L40S", "count": 2}], replicas=3)


def test_nothing_fits_says_why_for_each_precision() -> None:
    with pytest.raises(VerdictError) as caught:
        plan(model="meta-llama/Llama-3.3-70B-Instruct", hardware=[{"gpu": "T4"}])
    line = str(caught.value)
    assert caught.value.exit_code == 1
    assert "gptq-w4a16 on 1 x T4: weights of 36.8 GiB exceed the 13.6 GiB usable on T4" in line
    assert "bf16 needs compute capability 8.0" in line
    assert "\n" not in line


def test_a_limit_that_the_mean_exceeds_rules_an_option_out() -> None:
    workload = {"request_rate": 0.5, "input_tokens": 1024, "output_tokens": 128}
    slow = plan(workload=workload)
    assert slow.speed is not None
    tight = {"tpot_p95_ms": slow.speed.tpot_ms * 0.8}
    found = plan(workload=workload, slo=tight)
    assert found.precision != "bf16"
    assert "on average exceeds the 95th percentile's limit" in against(found)["bf16 on 1 x L40S"]


def test_more_replicas_where_arrivals_need_them() -> None:
    workload = {"request_rate": 6.0, "input_tokens": 4096, "output_tokens": 256}
    found = plan(hardware=[{"gpu": "L40S", "count": 8}], workload=workload)
    assert found.replicas > 1
    assert found.speed is not None
    assert not found.speed.overloaded


def test_without_a_workload_no_speed_is_claimed() -> None:
    assert plan().speed is None


def test_a_quantized_checkpoint_is_served_as_it_is() -> None:
    found = plan(model="RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic")
    assert found.precision == "fp8-w8a8"
    assert "quantized already (fp8-w8a8)" in against(found)["bf16 on 1 x L40S"]


def test_replicas_on_a_processor_share_its_cores_and_memory() -> None:
    processor = gpu("cpu")
    assert processor.cpu is not None
    spec = deployment(
        model="bundled:gemma-3-270m",
        precision="gptq-w4a16",
        hardware=[{"gpu": "cpu", "count": processor.cpu.cores}],
        promise={"context": 1024, "concurrency": 2},
    )
    found = make_plan(spec, load_facts(spec.model), [(processor, processor.cpu.cores)])
    assert ("cpu", 1, processor.cpu.cores, 1) == (found.gpu, found.replicas, found.cores, found.kv_cache_gib)
    assert found.gpu_memory_utilization is None
    assert 51 < found.memory.max_concurrency < 52


def test_a_plan_is_a_document_that_reads_back() -> None:
    found = plan(workload={"request_rate": 0.5, "input_tokens": 64, "output_tokens": 16})
    assert found == Plan.model_validate_json(found.model_dump_json())
