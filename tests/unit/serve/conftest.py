from __future__ import annotations

import pytest

from shipfit.sizing import Memory, Plan
from shipfit.spec.precision import Precision


@pytest.fixture
def plan() -> Plan:
    return Plan(
        apiVersion="shipfit/v1",
        name="any",
        model="org/model",
        precision=Precision.BF16,
        gpu="cpu",
        tensor_parallel=1,
        replicas=2,
        cores=1,
        max_model_len=1024,
        max_num_seqs=4,
        kv_cache_gib=1,
        memory=Memory(
            weights_gib=0.5,
            activation_gib=0.1,
            cuda_graph_gib=0,
            non_torch_gib=3.3,
            kv_cache_gib=1,
            kv_cache_tokens=50_000,
            max_concurrency=50,
        ),
        reasons=[],
        rejected=[],
    )
