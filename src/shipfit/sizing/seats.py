"""How many requests of a workload a replica takes in at once."""

from __future__ import annotations

import math
from dataclasses import replace

from shipfit.sizing.size import size
from shipfit.sizing.speed import Replica


def seats(replica: Replica, tokens_in: int, tokens_out: int) -> float:
    """Requests that are in flight at most; below 1 where the KV cache does not hold one.

    vLLM takes a request in once its prompt fits (vllm/v1/core/sched/scheduler.py), and answers grow meanwhile, so that
    the cache holds requests of the mean length.

    Args:
        replica: where; what its settings leave open is vLLM's default.
        tokens_in: of a prompt.
        tokens_out: of an answer.
    """
    settings = replace(replica.settings, context=tokens_in + math.ceil(tokens_out / 2))
    if replica.gpu.cpu:
        settings = replace(settings, tensor=1)  # its cores read the same memory
    held = size(replica.facts, replica.gpu, replica.scheme, settings, sharers=replica.sharers)
    return min(held.max_concurrency, float(held.max_num_seqs))
