from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.serve.arguments import Served, replica_commands
from shipfit.sizing import Plan
from shipfit.spec.precision import Precision

SERVED = Served(Path("/models/m"), "name", quantized=True)
SOCKETS = ["replica-0.sock", "replica-1.sock"]


def test_two_replicas_on_the_processor(plan: Plan) -> None:
    first, second = replica_commands(plan, SERVED, SOCKETS, [0, 1])
    assert first.words == [
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--model", "/models/m", "--served-model-name", "name"),
        *("--shutdown-timeout", "20", "--disable-uvicorn-access-log"),
        *("--middleware", "first_token.HoldHeaders"),
        *("--max-model-len", "1024", "--max-num-seqs", "4"),
        *("--enforce-eager", "--kv-cache-memory-bytes", str(2**30)),
        *("--uds", "replica-0.sock"),
    ]
    assert [*first.words[:-1], "replica-1.sock"] == second.words
    assert {"VLLM_CPU_OMP_THREADS_BIND": "0"}.items() <= first.env.items()
    assert {"VLLM_CPU_OMP_THREADS_BIND": "1", "HF_HUB_OFFLINE": "1"}.items() <= second.env.items()
    assert {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}.items() <= first.env.items()


@pytest.mark.parametrize(
    ("cores", "share", "bound"),
    [
        ([0, 1, 2, 3], 2, ["0,1", "2,3"]),
        ([4, 6, 8], 1, ["4", "6"]),
        ([0, 1], 2, ["0,1", "0,1"]),
        ([7], 1, ["7", "7"]),
    ],
)
def test_replicas_share_cores_only_where_there_are_too_few(
    plan: Plan, cores: list[int], share: int, bound: list[str]
) -> None:
    commands = replica_commands(plan.model_copy(update={"cores": share}), SERVED, SOCKETS, cores)
    assert bound == [command.env["VLLM_CPU_OMP_THREADS_BIND"] for command in commands]


def test_gpus_are_sliced(plan: Plan) -> None:
    gpu = {"gpu": "H100-SXM-80GB", "tensor_parallel": 2, "gpu_memory_utilization": 0.92, "kv_cache_gib": None}
    first, second = replica_commands(plan.model_copy(update=gpu), SERVED, SOCKETS, [0])
    assert "--tensor-parallel-size 2 --gpu-memory-utilization 0.92" in " ".join(first.words)
    assert "--enforce-eager" not in first.words
    assert ["0,1", "2,3"] == [each.env["CUDA_VISIBLE_DEVICES"] for each in (first, second)]


def test_stages_and_an_8_bit_kv_cache_are_passed_where_the_plan_has_them(plan: Plan) -> None:
    planned = {"gpu": "H100-SXM-80GB", "tensor_parallel": 2, "pipeline_parallel": 2, "kv_cache_dtype": "fp8"}
    first, second = replica_commands(plan.model_copy(update=planned), SERVED, SOCKETS, [0])
    words = " ".join(first.words)
    assert "--tensor-parallel-size 2 --pipeline-parallel-size 2" in words
    assert "--kv-cache-dtype fp8" in words
    assert ["0,1,2,3", "4,5,6,7"] == [each.env["CUDA_VISIBLE_DEVICES"] for each in (first, second)]


def test_what_vllm_decides_by_itself_is_not_passed(plan: Plan) -> None:
    gpu = {"gpu": "H100-SXM-80GB", "gpu_memory_utilization": 0.92, "kv_cache_gib": None}
    (command,) = replica_commands(plan.model_copy(update=gpu), SERVED, ["replica-0.sock"], [0])
    words = " ".join(command.words)
    for flag in ("pipeline", "kv-cache-dtype", "max-num-batched-tokens", "block-size", "quantization"):
        assert f"--{flag}" not in words


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        (Precision.BNB_NF4, "--quantization bitsandbytes"),
        (Precision.BF16, "--dtype bfloat16"),
        (Precision.FP16, "--dtype float16"),
        (Precision.FP8_W8A8, "--quantization fp8_per_channel"),
    ],
)
def test_what_vllm_makes_of_16_bit_weights(plan: Plan, precision: Precision, words: str) -> None:
    served = Served(Path("/models/m"), "name", quantized=False, chat_template=Path("/t.jinja"))
    (command,) = replica_commands(
        plan.model_copy(update={"precision": precision}), served, ["replica-0.sock"], [0]
    )
    line = " ".join(command.words)
    assert words in line
    assert "--chat-template /t.jinja" in line


@pytest.mark.parametrize(
    ("gpu", "method"),
    [("L40S", "fp8_per_channel"), ("MI300X", "fp8_per_channel"), ("A100", "fp8_per_tensor")],
)
def test_fp8_has_a_scale_a_row_where_it_is_multiplied_in_fp8(plan: Plan, gpu: str, method: str) -> None:
    planned = plan.model_copy(update={"precision": Precision.FP8_W8A8, "gpu": gpu, "kv_cache_gib": None})
    served = Served(Path("/models/m"), "name", quantized=False)
    (command,) = replica_commands(planned, served, ["replica-0.sock"], [0])
    assert method == command.words[command.words.index("--quantization") + 1]


def test_four_bits_need_an_artifact(plan: Plan) -> None:
    served = Served(Path("/models/m"), "name", quantized=False)
    with pytest.raises(InputError, match=r"gptq-w4a16 needs quantized weights.*make an artifact"):
        replica_commands(plan.model_copy(update={"precision": Precision.GPTQ_W4A16}), served, SOCKETS, [0])
