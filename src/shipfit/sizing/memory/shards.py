"""What one GPU of tensor parallelism holds of a kind of weight: its shape there, its format in memory, its bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from shipfit.models import Format, ModelFacts, Split, Weight
from shipfit.precision import Scheme
from shipfit.sizing.memory.padding import Engine

VOCABULARY_MULTIPLE = 64
"""Rows of embedding and head are padded to it (vocab_parallel_embedding.py, DEFAULT_VOCAB_PADDING_SIZE)."""
_WIDE_BITS = 16
"""Of a number in ``bf16`` and ``fp16``."""
_SAME = 0.1
"""Share by which a quantized weight's bytes may differ from the headers' because of its scales."""


def weight_format(facts: ModelFacts, weight: Weight, scheme: Scheme) -> Format | None:
    """How a weight is stored when a model is served in a precision; None: in 16 bits."""
    if facts.quantization is not None:
        return weight.format
    converted = weight.quantized or (scheme.embeddings and weight.name in ("embedding", "head"))
    return scheme.format if converted and scheme.format.bits != _WIDE_BITS else None


def kv_heads_per_gpu(kv_heads: int, tensor: int) -> int:
    """KV heads that each GPU holds; at least one, so that some are held several times."""
    return max(1, kv_heads // tensor)


@dataclass(frozen=True)
class Shard:
    """What a GPU holds of a kind of weight.

    Attributes:
        rows: outputs of one matrix there; a fraction where the split is uneven.
        columns: inputs of one matrix there.
        each: matrices there in one layer, or outside of the layers.
        layers: layers that have it; 1 outside of them.
        matrix: bytes of one without its scales.
        scales: bytes of its scales, zero points and indices.
        layout: its format; None where it is not quantized.
    """

    rows: float
    columns: float
    each: int
    layers: int
    matrix: float
    scales: float
    layout: Format | None

    @property
    def total(self) -> float:
        """Bytes of all of them."""
        return (self.matrix + self.scales) * self.each * self.layers


@dataclass(frozen=True)
class Holder:
    """A GPU of tensor parallelism, and what runs on it."""

    facts: ModelFacts
    scheme: Scheme
    tensor: int
    expert_parallel: bool
    version: str | None = None
    capability: float | None = None

    @cached_property
    def engine(self) -> Engine:
        """What decides which kernels run there."""
        quantization = self.facts.quantization
        return Engine(self.capability, self.version, quantization.method if quantization else None)

    @cached_property
    def gated(self) -> bool:
        """Whether experts have a gate, which is fused with what it is multiplied with."""
        return any(weight.active is not None and weight.fused for weight in self.facts.weights)

    def shard(self, weight: Weight) -> Shard:
        """What lies there of a kind of weight."""
        layers = len(weight.layers) or 1
        if not weight.rows:  # tensors of the checkpoint that the facts know nothing of
            return Shard(0, 0, 1, 1, weight.stored or 0, 0, None)
        rows, columns, each = self._shape(weight)
        stored = layout = weight_format(self.facts, weight, self.scheme)
        expert = weight.active is not None
        if layout is not None:
            layout = self.engine.layout(layout, expert=expert)
        swizzled = columns
        if expert and columns > 1:
            rows, columns, swizzled = self.engine.padded(
                layout, weight.split, rows, columns, gated=self.gated
            )
        if layout is None:
            matrix, scales = rows * swizzled * weight.wide_bytes, 0.0
        else:
            matrix = rows * swizzled * layout.bits / 8
            scales = layout.matrix_bytes(rows, columns) - rows * columns * layout.bits / 8
        known = _correction(weight) if stored == weight.format else 1.0
        return Shard(rows, columns, each, layers, matrix * known, scales * known, layout)

    def _shape(self, weight: Weight) -> tuple[float, float, int]:
        """Outputs and inputs of one matrix, and how many of them."""
        rows: float = weight.rows
        columns: float = weight.columns
        if weight.name in ("embedding", "head"):
            rows = math.ceil(rows / VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
        if weight.active is not None and self.expert_parallel:
            return rows, columns, math.ceil(weight.each / self.tensor)
        if weight.split is Split.KV_HEADS:
            heads = weight.kv_heads or self.facts.kv_heads
            rows *= kv_heads_per_gpu(heads, self.tensor) / heads
        elif weight.split is Split.OUTPUTS:
            rows /= self.tensor
        elif weight.split is Split.INPUTS:
            columns /= self.tensor
        return rows, columns, weight.each


def _correction(weight: Weight) -> float:
    """What the checkpoint's headers say, as a multiple of what the shapes come to; 1 where they were not read.

    Of a quantized weight, too, where they are about the same: what differs then is scales, and the format knows what
    the engine makes of those.
    """
    if weight.stored is None:
        return 1.0
    if weight.format is None:
        return weight.stored / (weight.parameters * weight.wide_bytes)
    known = weight.stored / (weight.format.matrix_bytes(weight.rows, weight.columns) * weight.count)
    return 1.0 if abs(known - 1) < _SAME else known
