from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shipfit.hardware import Gpu, gpu
from shipfit.hardware.gpu import Cpu
from shipfit.models import load_facts
from shipfit.precision import scheme
from shipfit.sizing import Replica, Settings

LLAMA = "meta-llama/Llama-3.1-70B"

MakeReplica = Callable[..., Replica]


def make_replica(
    model: str = LLAMA,
    precision: str = "fp8-w8a8",
    where: str | Gpu = "H200-SXM-141GB",
    sharers: int = 1,
    **settings: Any,
) -> Replica:
    place = gpu(where) if isinstance(where, str) else where
    return Replica(load_facts(model), scheme(precision), place, Settings(**settings), sharers)


@pytest.fixture
def replica() -> MakeReplica:
    return make_replica


@pytest.fixture
def processor() -> Gpu:
    return Gpu(
        name="cpu",
        memory_gb=64,
        bandwidth_gb_s=40,
        tflops={"bf16": 1.328},
        source="made up",
        cpu=Cpu(cores=4, core_bandwidth_gb_s=20, core_tflops=0.166, flags=("avx512_bf16",)),
    )
