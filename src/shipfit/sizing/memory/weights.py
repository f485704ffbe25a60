"""The weights on each GPU: every matrix in its format, split as vLLM splits it, what is replicated included.

What vLLM logs as "Model loading took" is what PyTorch's allocator hands out: the tensors, what their rounding adds, and
the tables of rotary embeddings (vllm/utils/mem_utils.py, DeviceMemoryProfiler).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from shipfit.models import CacheKind, ModelFacts, Weight
from shipfit.precision import Scheme
from shipfit.sizing.memory.allocator import allocated
from shipfit.sizing.memory.shards import Holder, Shard
from shipfit.sizing.memory.stages import held
from shipfit.sizing.settings import Settings

_OUTSIDE = -1
"""Stands for what lies outside of the layers."""
_ROTARY_BYTES = 2
"""Of a number in a table of rotary embeddings (rotary_embedding/base.py casts it to the model's type)."""


@dataclass(frozen=True)
class WeightTerm:
    """A part of the weights on a GPU.

    Attributes:
        name: what it is.
        bytes: on each GPU of the stage.
        formula: how they come about, with the figures.
    """

    name: str
    bytes: float
    formula: str


def weight_bytes(
    facts: ModelFacts, scheme: Scheme, settings: Settings, capability: float | None = None
) -> float:
    """Bytes of the weights on a GPU; with pipeline parallelism, on one of the fullest stage.

    Args:
        facts: the model.
        scheme: how its weights are stored.
        settings: how they are split.
        capability: compute capability of the GPU, which decides on kernels; Hopper's where it is not known.
    """
    return _fullest_stage(facts, scheme, _split(settings), capability, rounded=True)


def tensor_bytes(
    facts: ModelFacts, scheme: Scheme, settings: Settings, capability: float | None = None
) -> float:
    """Bytes of the tensors alone, without what the allocator adds: never more than ``weight_bytes``, and soon found.

    Args:
        facts: the model.
        scheme: how its weights are stored.
        settings: how they are split.
        capability: as for ``weight_bytes``.
    """
    return _fullest_stage(facts, scheme, _split(settings), capability, rounded=False)


def _split(settings: Settings) -> Settings:
    """Those settings that weights depend on."""
    return Settings(
        tensor=settings.tensor,
        pipeline=settings.pipeline,
        expert_parallel=settings.expert_parallel,
        version=settings.version,
    )


# A planner asks for the same split on many kinds of GPU and with many other settings.
@lru_cache(maxsize=4096)
def _fullest_stage(
    facts: ModelFacts, scheme: Scheme, split: Settings, capability: float | None, *, rounded: bool
) -> float:
    stages = (_Stage(facts, scheme, split, stage, capability) for stage in range(split.pipeline))
    return max(sum(term.bytes for term in stage.terms(rounded=rounded)) for stage in stages)


def weight_terms(
    facts: ModelFacts, scheme: Scheme, settings: Settings, stage: int = 0, capability: float | None = None
) -> list[WeightTerm]:
    """The parts of the weights on a GPU of one pipeline stage, in the order of the model; they add up to its bytes.

    Args:
        facts: the model.
        scheme: how its weights are stored.
        settings: how they are split.
        stage: of pipeline parallelism, from 0.
        capability: as for ``weight_bytes``.
    """
    return _Stage(facts, scheme, settings, stage, capability).terms(rounded=True)


class _Stage:
    """One GPU of one pipeline stage, and the shard of every weight that it has; arguments as of ``weight_terms``."""

    def __init__(
        self, facts: ModelFacts, scheme: Scheme, settings: Settings, stage: int, capability: float | None
    ) -> None:
        self.facts = facts
        self.holder = Holder(
            facts, scheme, settings.tensor, settings.expert_parallel, settings.version, capability
        )
        self.shards = [
            (weight, self.holder.shard(weight)) for weight in held(facts, settings.pipeline, stage)
        ]

    def terms(self, *, rounded: bool) -> list[WeightTerm]:
        """What the stage holds; ``rounded``: what the allocator adds too."""
        terms = [_term(weight, shard) for weight, shard in self.shards if shard.total]
        terms += [_copy(weight, shard) for weight, shard in self.shards if weight.absorbed and shard.layout]
        terms += [
            WeightTerm(
                "rotary",
                table.positions * table.width * _ROTARY_BYTES,
                f"{table.positions:,} positions x {table.width} numbers x {_ROTARY_BYTES} bytes",
            )
            for table in self.facts.rotary
        ]
        if any(cache.kind is CacheKind.LATENT for cache in self.facts.caches):
            workspace = self.holder.engine.latent_workspace
            terms.append(
                WeightTerm("workspace", workspace, "taken while a latent attention's kernel is chosen")
            )
        if rounded:
            how = "blocks of PyTorch's allocator that tensors do not fill"
            terms.append(WeightTerm("rounding", _rounding(self.shards), how))
        return terms


def stored_precision(facts: ModelFacts) -> str | None:
    """The precision that a checkpoint is stored in; None for 32-bit ones and quantizations without a name here."""
    if facts.quantization:
        return facts.quantization.precision
    return {"bfloat16": "bf16", "float16": "fp16"}.get(facts.dtype)


def _term(weight: Weight, shard: Shard) -> WeightTerm:
    if not shard.rows:
        return WeightTerm(weight.name, shard.total, f"{weight.each:,} tensors that shipfit does not know")
    count = shard.each * shard.layers
    bits = shard.total * 8 / (shard.rows * shard.columns * count)
    many = f"{count:,} x " if count > 1 else ""
    return WeightTerm(weight.name, shard.total, f"{many}{_by(shard)} at {bits:.4g} bits")


def _copy(weight: Weight, shard: Shard) -> WeightTerm:
    """Latent attention multiplies in 16 bits with a matrix that projects up, and keeps it so beside a quantized one.

    Source: vllm/model_executor/layers/attention/mla_attention.py, process_weights_after_loading.
    """
    size = shard.rows * shard.columns * shard.each * shard.layers * 2
    return WeightTerm(
        f"{weight.name} in 16 bits", size, f"{shard.each * shard.layers} x {_by(shard)} x 2 bytes"
    )


def _by(shard: Shard) -> str:
    return f"{shard.rows:,.10g} x {shard.columns:,.10g}"


def _rounding(shards: Iterable[tuple[Weight, Shard]]) -> float:
    """Bytes that the allocator adds to the tensors as a model makes them: ends and towers, then layer by layer."""
    tensors: dict[int, list[float]] = defaultdict(list)
    for layers, sizes in _tensors(shards):
        for layer in layers:
            tensors[layer] += sizes
    ordered = [size for layer in sorted(tensors) for size in tensors[layer]]
    return allocated(ordered) - sum(ordered)


def _tensors(shards: Iterable[tuple[Weight, Shard]]) -> list[tuple[Sequence[int], list[float]]]:
    """The layers of each tensor and its bytes, scales apart: fused matrices are one, and so are a layer's experts."""
    tensors: list[tuple[Sequence[int], list[float]]] = []
    fused: dict[tuple[str, Sequence[int]], list[float]] = {}
    for weight, shard in shards:
        if not shard.rows:
            continue
        layers = weight.layers or (_OUTSIDE,)
        sizes = [shard.matrix, shard.scales] if shard.scales else [shard.matrix]
        if weight.fused is None and weight.active is None:
            tensors.append((layers, sizes * shard.each))
            continue
        whole = [size * shard.each for size in sizes]
        before = fused.get((weight.fused, layers)) if weight.fused else None
        if before is None:
            tensors.append((layers, whole))
            if weight.fused:
                fused[weight.fused, layers] = whole
        else:
            before[:] = [sum(pair) for pair in zip_longest(before, whole, fillvalue=0.0)]
    return tensors
