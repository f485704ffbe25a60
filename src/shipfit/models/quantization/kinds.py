"""The formats that checkpoints use, as vLLM keeps them in memory once loaded, with shipfit's names for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from shipfit.models.facts import Format, Quantization


class Kind(NamedTuple):
    """How a matrix is quantized.

    Attributes:
        format: how it lies in memory.
        precision: shipfit's name; None where it has none.
    """

    format: Format
    precision: str | None


FP8 = Kind(Format(8, scale_bytes=4), "fp8-w8a8")
"""One 32-bit scale a matrix (vllm/model_executor/layers/quantization/fp8.py)."""
FP8_CHANNEL = Kind(Format(8, group=-1, scale_bytes=4), "fp8-w8a8")
"""A 32-bit scale a row, whatever the checkpoint stores it in (schemes/compressed_tensors_w8a8_fp8.py)."""
INT8_CHANNEL = Kind(Format(8, group=-1, scale_bytes=4), "int8-w8a8")
"""Likewise (schemes/compressed_tensors_w8a8_int8.py)."""
INT8_ROWS = Kind(Format(8, group=-1, scale_bytes=4), None)
"""A 32-bit maximum a row, the largest activations in 16 bits (LLM.int8(), arXiv:2208.07339)."""
NVFP4 = Kind(Format(4, group=16, scale_bytes=1), "nvfp4")
"""An FP8 scale for 16 weights (NVIDIA, Introducing NVFP4); the second, 32-bit one a matrix does not count."""
MXFP4 = Kind(Format(4, group=32, scale_bytes=1), "mxfp4")
"""A shared exponent for 32 weights (OCP Microscaling Formats (MX) Specification v1.0, table 1)."""
MXFP8 = Kind(Format(8, group=32, scale_bytes=1), None)
"""Likewise."""
NF4 = Kind(Format(4, group=64, scale_bytes=4), "bnb-nf4")
"""A 32-bit maximum for 64 weights: vLLM undoes the second quantization, that of the maxima, as it loads them
(vllm/model_executor/model_loader/bitsandbytes_loader.py, dequantize_dq, in releases before 0.32)."""


def fp8_block(rows: int, columns: int) -> Kind:
    """FP8 with a 32-bit scale a block (DeepSeek-V3, arXiv:2412.19437, section 3.3.2)."""
    return Kind(Format(8, group=columns, scale_bytes=4, block_rows=rows), "fp8-block")


def integers(bits: int, group: int, *, zeros: bool = False, act_order: bool = False) -> Kind:
    """Whole numbers with a 16-bit scale a group, as vLLM's kernels for 16-bit activations keep them.

    Args:
        bits: of a weight; packed into 32-bit words, so that 3 bits lie as 3.2.
        group: weights that share a scale; -1 for the row.
        zeros: whether there is a zero point a group; what symmetric checkpoints store of them is dropped as it is
            loaded (vllm/model_executor/kernels/linear/mixed_precision/marlin.py).
        act_order: whether each input's group is kept, and the order that they are sorted in: two 32-bit indices.
    """
    layout = Format(
        32 / (32 // bits),
        group=group,
        scale_bytes=2,
        zero_bits=bits if zeros else 0,
        index_bytes=8 if act_order else 0,
    )
    names = {4: "awq-w4a16" if zeros else "gptq-w4a16", 8: None if zeros else "int8-w8a16"}
    return Kind(layout, names.get(bits))


def summary(method: str, kinds: Collection[Kind], kv_cache: str | None = None) -> Quantization:
    """A checkpoint's quantization as a whole; of several kinds, the one with the fewest bits stands for it."""
    least = min(kinds, key=lambda kind: kind.format.bits)
    return Quantization(
        method,
        least.precision,
        group=least.format.group,
        symmetric=not least.format.zero_bits,
        act_order=bool(least.format.index_bytes),
        kv_cache=kv_cache,
    )
