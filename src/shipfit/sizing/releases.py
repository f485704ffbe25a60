"""What changed between releases of vLLM: a data file, so that another release is another entry, not another branch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shipfit.core.data import read_yaml
from shipfit.core.errors import InputError
from shipfit.core.versions import release_numbers
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.spec.base import Section

_FILE = Path(__file__).with_name("releases.yaml")


class Batch(Section):
    """How much vLLM takes into one step."""

    max_num_batched_tokens: PositiveInt
    max_num_seqs: PositiveInt


class BatchDefault(Batch):
    """What it takes by default on GPUs of at least this memory, unless their name has the excluded word."""

    memory_gib: NonNegativeFloat
    excluded: str | None = None


class ByCapability(Section):
    """A number of tokens that holds on GPUs from this compute capability on."""

    capability: NonNegativeFloat
    tokens: PositiveInt


class LibraryMib(Section):
    """What a library keeps on GPUs from this compute capability on."""

    capability: NonNegativeFloat
    mib: PositiveFloat


class KeptBuffers(Section):
    """Whether buffers are kept on GPUs from this compute capability on."""

    capability: NonNegativeFloat
    kept: bool


class GraphMib(Section):
    """What a CUDA graph takes for each layer, and what is added for the kernels of some."""

    layer: PositiveFloat
    quantized: NonNegativeFloat
    experts: NonNegativeFloat
    latent: NonNegativeFloat


class Expanded(Section):
    """How many latent vectors are expanded at once."""

    contexts: PositiveInt
    blocks: PositiveInt
    tokens: PositiveInt


class Release(Section):
    """A release, as far as memory depends on it; releases.yaml explains each figure and names its source."""

    version: str
    gpu_memory_utilization: PositiveFloat
    v1_capability: NonNegativeFloat
    v0_batch: Batch
    v0_chunked_above: PositiveInt
    batch_defaults: tuple[BatchDefault, ...]
    cpu_batch: Batch
    block_tokens: PositiveInt
    latent_block_tokens: tuple[ByCapability, ...]
    sparse_block_tokens: PositiveInt
    sparse_fp8_bytes: PositiveInt
    cpu_block_tokens: PositiveInt
    windows_kept: bool
    chunks_kept: bool
    group_ratio: PositiveFloat
    in_flight_batches: PositiveInt
    state_blocks: PositiveInt
    tokens_printed: Literal["groups", "requests"]
    checkpoint_kv_format: bool
    whole_model_checked: bool
    graph_largest: tuple[ByCapability, ...]
    graph_batch_factor: PositiveFloat
    graph_stride_above_256: PositiveInt
    graph_mib: GraphMib
    graphs_subtracted: bool
    graph_probe: Literal["none", "largest", "requests"]
    logit_bytes: PositiveInt
    logit_programs: NonNegativeInt
    v2_logit_bytes: PositiveInt
    v2_penalty_bytes: NonNegativeFloat
    v2_named: tuple[str, ...]
    v2_dense: bool
    v2_all: bool
    hidden_copies: PositiveInt
    latent_expanded: Expanded
    matrix_library_mib: tuple[LibraryMib, ...]
    expert_buffers_kept: tuple[KeptBuffers, ...]
    v0_context_gib: NonNegativeFloat
    context_gib: NonNegativeFloat
    parallel_gib: NonNegativeFloat
    parallel_each_gib: NonNegativeFloat
    fused_all_reduce_gib: NonNegativeFloat
    cpu_processes_gib: NonNegativeFloat

    def runs_v1(self, gpu: Gpu) -> bool:
        """Whether the V1 engine serves a kind of GPU; the one before it does the others."""
        return (gpu.capability or 0) >= self.v1_capability

    def runs_v2(self, facts: ModelFacts) -> bool:
        """Whether model runner V2 runs a model by default."""
        if self.v2_all or facts.architecture in self.v2_named:
            return True
        hybrid = any(cache.states for cache in facts.caches)
        return self.v2_dense and facts.experts is None and not hybrid

    def batch(self, gpu: Gpu, context: int) -> Batch:
        """The limits that the API server sets by itself.

        Args:
            gpu: the kind of GPU.
            context: tokens of a request; the V0 engine reads short ones in one step.
        """
        if gpu.cpu:
            return self.cpu_batch
        if not self.runs_v1(gpu):
            whole = context if context <= self.v0_chunked_above else 0
            tokens = max(whole, self.v0_batch.max_num_batched_tokens)
            return Batch(max_num_batched_tokens=tokens, max_num_seqs=self.v0_batch.max_num_seqs)
        name = f"{gpu.name} {gpu.label or ''}".lower()
        return next(
            each
            for each in self.batch_defaults
            if gpu.memory_gib >= each.memory_gib and not (each.excluded and each.excluded in name)
        )


def release(version: str | None = None) -> Release:
    """The newest entry that is not newer than a version; None: the newest of all, which shipfit serves with.

    Args:
        version: as users write it: ``0.19.0``, ``v0.11.2``, ``0.26.1rc1.dev608``, ``0.8.5.post1``.

    Raises:
        InputError: it is no version, or older than every entry.
    """
    known = _releases()
    if version is None:
        return next(reversed(known.values()))
    wanted = release_numbers(version)
    older = [each for numbers, each in known.items() if numbers <= wanted]
    if not older:
        names = ", ".join(each.version for each in known.values())
        raise InputError(
            f"vLLM {version} is older than every release that shipfit knows", hint=f"it knows {names}"
        )
    return older[-1]


@cache
def _releases() -> dict[tuple[int, ...], Release]:
    """Every entry, each completed by those before it, from old to new."""
    known: dict[tuple[int, ...], Release] = {}
    values: dict[str, object] = {}
    for entry in read_yaml(_FILE)["releases"]:
        values |= entry
        complete = Release.model_validate(values)
        known[release_numbers(complete.version)] = complete
    return known
