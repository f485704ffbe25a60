"""What sizing takes from vLLM's release: a data file, so that another release is another file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shipfit.core.data import read_yaml
from shipfit.hardware import Gpu

_FILE = Path(__file__).with_name("engine.yaml")


@dataclass(frozen=True)
class Batch:
    """How much vLLM takes into one step."""

    max_num_batched_tokens: int
    max_num_seqs: int


@dataclass(frozen=True)
class BatchDefault(Batch):
    """What it takes by default on GPUs of at least this memory and capability."""

    memory_gib: float
    capability: float


@dataclass(frozen=True)
class Engine:
    """Defaults and measured figures of a release; engine.yaml explains each."""

    version: str
    gpu_memory_utilization: float
    batch_defaults: tuple[BatchDefault, ...]
    cpu_batch_defaults: Batch
    block_tokens: int
    cpu_block_tokens: int
    window_group_ratio: float
    sampler_bytes: int
    residual_copies: int
    cuda_graph_mib_per_layer: float
    cuda_graph_sizes: int
    non_torch_gib: float
    non_torch_parallel_gib: float
    cpu_processes_gib: float

    def batch(self, gpu: Gpu) -> Batch:
        """The batch limits that vLLM sets by itself on a kind of GPU."""
        if gpu.capability is None:
            return self.cpu_batch_defaults
        capability = gpu.capability
        return next(
            each
            for each in self.batch_defaults
            if gpu.memory_gib >= each.memory_gib and capability >= each.capability
        )


@cache
def engine() -> Engine:
    """The release that shipfit serves with."""
    values = read_yaml(_FILE)
    values["batch_defaults"] = tuple(BatchDefault(**each) for each in values["batch_defaults"])
    values["cpu_batch_defaults"] = Batch(**values["cpu_batch_defaults"])
    return Engine(**values)
