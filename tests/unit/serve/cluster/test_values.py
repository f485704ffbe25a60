from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import gpu
from shipfit.serve.cluster.gpus import Offer
from shipfit.serve.cluster.values import (
    Artifact,
    Weights,
    artifacts_of,
    release_name,
    render,
    same,
    spec_digest,
)
from shipfit.sizing import Plan, PredictedSpeed
from shipfit.spec import Deployment, load
from shipfit.spec.precision import Precision

ARTIFACT = Artifact("s3://models", "llama-gptq", "f" * 64, {"mean_kl": 0.05})
WEIGHTS = Weights(ARTIFACT, "", 40_000_000_000, quantized=True)
ON_A100 = {
    "gpu": "A100-SXM4-80GB",
    "tensor_parallel": 2,
    "cores": None,
    "kv_cache_gib": None,
    "gpu_memory_utilization": 0.92,
    "max_model_len": 1_048_576,
}


def deployment(folder: Path, **more: Any) -> Deployment:
    file = folder / "chat.yaml"
    lines = "".join(f"{key}: {value}\n" for key, value in more.items())
    file.write_text(
        "apiVersion: shipfit/v1\nkind: Deployment\nname: llama-3.3\nmodel: org/model\nserved_name: llama\n"
        "promise: {context: 512, concurrency: 1}\ncluster: {namespace: llm}\n" + lines
    )
    return load(file, Deployment)


def test_what_the_plan_decides_becomes_values(plan: Plan, tmp_path: Path) -> None:
    offer = Offer("x", "nvidia.com/gpu", ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-80GB"), "node", 8, 8)
    planned = plan.model_copy(update=ON_A100)
    spec = deployment(tmp_path, slo="{ttft_p95_ms: 2000}")
    made = render(spec, planned, WEIGHTS, offer, rollout="replace", template="{{ x }}", holder="id")
    assert ["main"] == list(made["models"])
    assert {
        "servedName": "llama",
        "weights": {
            "artifact": {"store": "s3://models", "name": "llama-gptq", "fingerprint": "f" * 64},
            "bytes": 40_000_000_000,
        },
        "replicas": 2,
        "nodes": 1,
        "rollout": "replace",
        "engine": {
            "args": {
                "max-model-len": "1048576",  # a number would be 1.048576e+06 in a template
                "max-num-seqs": "4",
                "tensor-parallel-size": "2",
                "gpu-memory-utilization": "0.92",
            },
            "resources": {"requests": {"cpu": "4", "memory": "16Gi"}},
            "sharedMemory": "2Gi",
        },
        "accelerator": {
            "resource": "nvidia.com/gpu",
            "count": 2,
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        },
        "chatTemplate": "{{ x }}",
        "slo": {"ttftMs": 2000.0},
    } == made["models"]["main"]


def test_of_a_replica_that_spans_machines_each_has_its_share(plan: Plan, tmp_path: Path) -> None:
    planned = plan.model_copy(
        update=ON_A100 | {"tensor_parallel": 8, "pipeline_parallel": 2, "machines": 2, "replicas": 1}
    )
    made = render(deployment(tmp_path), planned, WEIGHTS, None)
    model = made["models"]["main"]
    assert (2, 8, "8Gi") == (model["nodes"], model["accelerator"]["count"], model["engine"]["sharedMemory"])
    assert {"cpu": "10", "memory": "40Gi"} == model["engine"]["resources"]["requests"]
    args = model["engine"]["args"]
    assert ("8", "2") == (args["tensor-parallel-size"], args["pipeline-parallel-size"])
    assert (16, 2) == (made["record"]["plan"]["gpus"], made["record"]["plan"]["machines"])


def test_on_a_processor_memory_is_limited_and_no_core_is_bound(plan: Plan, tmp_path: Path) -> None:
    model = render(deployment(tmp_path), plan, WEIGHTS, None)["models"]["main"]
    assert "accelerator" not in model
    assert {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"} == model["engine"]["env"]
    # 0.5 + 0.1 + 3.3 + 1 GiB of the plan, and one
    assert {"requests": {"cpu": "1", "memory": "6Gi"}, "limits": {"memory": "6Gi"}} == model["engine"][
        "resources"
    ]


@pytest.mark.parametrize(
    ("name", "resource", "toleration"),
    [
        ("A100-SXM4-80GB", "nvidia.com/gpu", "nvidia.com/gpu"),
        ("A100-SXM4-80GB:3g.40gb", "nvidia.com/mig-3g.40gb", "nvidia.com/gpu"),
        ("MI300X", "amd.com/gpu", "amd.com/gpu"),
    ],
)
def test_gpus_that_the_cluster_has_not_are_asked_for_by_their_usual_name(
    plan: Plan, tmp_path: Path, name: str, resource: str, toleration: str
) -> None:
    planned = plan.model_copy(update=ON_A100 | {"gpu": gpu(name).name})
    found = render(deployment(tmp_path), planned, WEIGHTS, None)["models"]["main"]["accelerator"]
    assert (resource, toleration) == (found["resource"], found["tolerations"][0]["key"])


def test_a_model_of_the_hub_is_served_as_it_is(plan: Plan, tmp_path: Path) -> None:
    weights = Weights(None, "org/model@abc", 7, quantized=False)
    model = render(deployment(tmp_path), plan, weights, None)["models"]["main"]
    assert {"model": "org/model@abc", "bytes": 7} == model["weights"]
    assert "bfloat16" == model["engine"]["args"]["dtype"]
    with pytest.raises(InputError, match="needs quantized weights, and those of org/model@abc are not"):
        render(
            deployment(tmp_path), plan.model_copy(update={"precision": Precision.GPTQ_W4A16}), weights, None
        )


def test_the_record_names_what_is_served_and_what_was(plan: Plan, tmp_path: Path) -> None:
    before = Artifact("s3://models", "llama-gptq", "e" * 64, {})
    record = render(deployment(tmp_path), plan, WEIGHTS, None, holder="id", previous=before)["record"]
    assert "id" == record["id"]
    assert {"mean_kl": 0.05} == record["artifact"]["gate"]
    assert {ARTIFACT, before} == artifacts_of(record)
    assert ARTIFACT == Artifact.recorded(record["artifact"])
    assert set() == artifacts_of({})
    again = render(deployment(tmp_path), plan, WEIGHTS, None, holder="id", previous=before)
    assert again["record"] == record


def test_a_processor_that_was_measured_anew_makes_no_other_record(plan: Plan, tmp_path: Path) -> None:
    def record(**more: Any) -> Any:
        return render(deployment(tmp_path), plan.model_copy(update=more), WEIGHTS, None)["record"]

    one, other = (
        PredictedSpeed(ttft_ms=tpot_ms, tpot_ms=tpot_ms, output_tokens_per_s=16, overloaded=False)
        for tpot_ms in (60.0, 61.0)
    )
    assert record(speed=one) != record(speed=other)
    assert same(record(speed=one), record(speed=other))
    assert not same(record(), record(replicas=plan.replicas + 1))
    assert not same(None, record())


def test_a_spec_is_told_from_another_by_what_it_says(tmp_path: Path) -> None:
    one = spec_digest(deployment(tmp_path, replicas=2))
    (tmp_path / "chat.yaml").write_text("# a remark\n" + (tmp_path / "chat.yaml").read_text())
    assert one == spec_digest(load(tmp_path / "chat.yaml", Deployment))
    assert one != spec_digest(deployment(tmp_path, replicas=3))


def test_a_spec_is_told_from_another_by_its_owners_values(tmp_path: Path) -> None:
    plain, values = deployment(tmp_path), tmp_path / "values.yaml"
    assert plain.cluster
    spec = plain.model_copy(update={"cluster": plain.cluster.model_copy(update={"values": "values.yaml"})})
    values.write_text("test: {resources: {}}")
    one = spec_digest(spec)
    values.write_text("# a remark\ntest:\n  resources: {}\n")
    assert one == spec_digest(spec)
    values.write_text("test: {}")
    assert one != spec_digest(spec)


def test_names_of_services_hold_no_dots(tmp_path: Path) -> None:
    assert "llama-3-3" == release_name(deployment(tmp_path))
