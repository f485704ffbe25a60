"""Reads checkpoints in the formats of GPTQ and of AWQ (GEMM): as plain weights, with the values that they stand for.

The formats: github.com/AutoGPTQ/AutoGPTQ, nn_modules/qlinear/qlinear_cuda_old.py; github.com/ModelCloud/GPTQModel,
nn_modules/qlinear/torch.py; github.com/casper-hansen/AutoAWQ, modules/linear/gemm.py. A layer with K inputs, N outputs
and G groups of inputs is

    qweight  whole numbers, [K, N], packed into int32 along the inputs (GPTQ) or the outputs (AWQ)
    qzeros   zero points, [G, N], packed along the outputs; GPTQ's first format stores them less one
    scales   [G, N]
    g_idx    GPTQ: the group of each input, [K]
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from compressed_tensors.entrypoints.convert.converters import AutoAWQConverter
from safetensors import safe_open

Tensors = dict[str, torch.Tensor]


class UnknownFormatError(Exception):
    """The configuration describes a format that is not known here; the message says which."""


def unpacked_weights(folder: Path, quantization: dict[str, Any], dtype: torch.dtype) -> Tensors:
    """All weights of a folder by name, the packed ones as ``weight`` of shape [N, K].

    Args:
        folder: with the safetensors files.
        quantization: ``quantization_config`` of its config.json.
        dtype: what packed weights become.

    Raises:
        UnknownFormatError: neither GPTQ in 4 or 8 bits nor AWQ's GEMM in 4.
    """
    unpack = _unpack_gptq if quantization["quant_method"] == "gptq" else _unpack_awq
    weights: Tensors = {}
    for layer, parts in _by_layer(folder):
        if "qweight" not in parts:
            weights.update({f"{layer}.{part}": tensor for part, tensor in parts.items()})
            continue
        levels, zeros, groups = unpack(parts, quantization)
        scales = parts["scales"].float()
        weight = (levels.float() - zeros.float()[groups]) * scales[groups]
        weights[f"{layer}.weight"] = weight.T.contiguous().to(dtype)
        # Engines write a bias of zeros for layers that have none.
        if "bias" in parts and parts["bias"].any():
            weights[f"{layer}.bias"] = parts["bias"].to(dtype)
    return weights


def _by_layer(folder: Path) -> Iterator[tuple[str, Tensors]]:
    """The tensors of each layer; a layer's may lie in two files."""
    where: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                layer, _, part = name.rpartition(".")
                where.setdefault(layer, {})[part] = file
    for layer, parts in where.items():
        yield layer, {part: _read(file, f"{layer}.{part}") for part, file in parts.items()}


def _read(file: Path, name: str) -> torch.Tensor:
    with safe_open(file, framework="pt") as tensors:
        tensor: torch.Tensor = tensors.get_tensor(name)
    return tensor


def _unpack_gptq(
    parts: Tensors, quantization: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Levels [K, N], zero points [G, N] and the group of each input [K]; all levels less half their number."""
    bits = int(quantization["bits"])
    version = quantization.get("checkpoint_format", "gptq")
    if bits not in (4, 8) or version not in ("gptq", "gptq_v2"):
        raise UnknownFormatError(f"GPTQ with {bits} bits as {version}")
    scales = parts["scales"]
    inputs = parts["qweight"].shape[0] * 32 // bits
    levels = unpack_from_int32(parts["qweight"], bits, torch.Size([inputs, scales.shape[1]]), packed_dim=0)
    zeros = unpack_from_int32(parts["qzeros"], bits, scales.shape, packed_dim=1).int()
    groups = parts.get("g_idx", torch.arange(inputs) // (inputs // scales.shape[0]))
    return levels, zeros + 1 if version == "gptq" else zeros, groups.long()


def _unpack_awq(
    parts: Tensors, quantization: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As of GPTQ, but for what the levels count from."""
    bits, version = int(quantization["bits"]), quantization.get("version", "gemm")
    if bits != 4 or version != "gemm":
        raise UnknownFormatError(f"AWQ with {bits} bits as {version}")
    levels, zeros = AutoAWQConverter.unpack_awq(parts["qweight"], parts["qzeros"], bits)
    levels, zeros = AutoAWQConverter.reverse_awq_order(levels, zeros, bits)
    inputs = levels.shape[0]
    groups = torch.arange(inputs) // (inputs // parts["scales"].shape[0])
    return levels & 15, zeros & 15, groups
