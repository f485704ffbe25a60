"""How a quantized layer is stored: which tensors take the place of its weight, in which number format and shape.

Sources: github.com/vllm-project/compressed-tensors, compressors/; github.com/ModelCloud/GPTQModel,
nn_modules/qlinear/; github.com/casper-hansen/AutoAWQ, modules/linear/gemm.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

FLOATS = ("BF16", "F16", "F32")
"""Number formats of scales and of weights that are not quantized, as safetensors names them."""

MX_SCALE = "MX scale"
"""A power of two, stored as its exponent in a byte; 255 stands for no number."""


class UnknownLayoutError(Exception):
    """The configuration describes a layout that is not known here; the message says which."""


@dataclass(frozen=True)
class Scheme:
    """How the layers of an artifact are quantized, as its ``quantization_config`` says.

    Attributes:
        layout: a format of compressed-tensors, or ``gptq`` or ``awq``.
        bits: of a weight.
        number: ``int`` or ``float``.
        strategy: which weights share a scale: ``tensor``, ``channel``, ``group``, ``tensor_group`` or ``block``.
        group_size: weights that do; -1 where it is no group.
        block: rows and columns of a block.
        symmetric: whether zero points are left out.
        input_bits: of activations; None where they stay as they are.
        static_inputs: whether scales of activations are stored.
    """

    layout: str
    bits: int
    number: str
    strategy: str
    group_size: int = -1
    block: tuple[int, int] = (1, 1)
    symmetric: bool = True
    input_bits: int | None = None
    static_inputs: bool = False


@dataclass(frozen=True)
class Part:
    """A tensor of a quantized layer.

    Attributes:
        formats: number formats that it may have.
        shape: its shape; a scalar may be stored as ``[1]`` or as ``[]``.
        required: whether it must be there.
    """

    formats: tuple[str, ...]
    shape: tuple[int, ...]
    required: bool = True


def scheme_of(config: Mapping[str, Any]) -> Scheme:
    """The scheme that a ``quantization_config`` describes.

    Raises:
        UnknownLayoutError: its method or format is not known here, or it has more than one scheme.
    """
    method = config.get("quant_method")
    if method in ("gptq", "awq"):
        group = int(config["group_size"])
        symmetric = bool(config["sym"]) if method == "gptq" else not config.get("zero_point", True)
        strategy = "group" if group > 0 else "channel"
        return Scheme(method, int(config["bits"]), "int", strategy, group, symmetric=symmetric)
    if method != "compressed-tensors":
        raise UnknownLayoutError(f"quant_method {method}")
    groups = list(config.get("config_groups", {}).values())
    if len(groups) != 1:
        raise UnknownLayoutError(f"{len(groups)} config_groups, where one is expected")
    return _compressed(groups[0], config.get("format"))


def _compressed(group: Mapping[str, Any], usual: str | None) -> Scheme:
    weights, inputs = group["weights"], group.get("input_activations")
    strategy = weights["strategy"]
    block = weights.get("block_structure") if strategy == "block" else None
    return Scheme(
        layout=str(group.get("format") or usual),
        bits=int(weights["num_bits"]),
        number=weights["type"],
        strategy=strategy,
        group_size=int(weights.get("group_size") or -1),
        block=(int(block[0]), int(block[1])) if block else (1, 1),
        symmetric=bool(weights["symmetric"]),
        input_bits=int(inputs["num_bits"]) if inputs else None,
        static_inputs=inputs is not None and inputs.get("dynamic") is not True,
    )


def parts(scheme: Scheme, rows: int, columns: int) -> dict[str, Part]:
    """The tensors of a layer with a weight of this shape, by the end of their names.

    Raises:
        UnknownLayoutError: the scheme's layout is not known here.
    """
    make = _LAYOUTS.get(scheme.layout)
    if make is None:
        raise UnknownLayoutError(f"format {scheme.layout}")
    return make(scheme, rows, columns)


def part_names() -> set[str]:
    """Every ending that a quantized layer's tensors may have, whatever the layout."""
    return {
        name
        for layout in _LAYOUTS
        for symmetric in (True, False)
        for name in parts(
            Scheme(layout, 4, "int", "channel", symmetric=symmetric, static_inputs=True), 32, 32
        )
    }


def _scale_shape(scheme: Scheme, rows: int, columns: int) -> tuple[int, ...]:
    if scheme.strategy == "tensor":
        return (1,)
    if scheme.strategy == "channel":
        return (rows, 1)
    if scheme.strategy == "block":
        return (ceil(rows / scheme.block[0]), ceil(columns / scheme.block[1]))
    return (rows, ceil(columns / scheme.group_size))


def _packed(scheme: Scheme, rows: int, columns: int) -> dict[str, Part]:
    scale = _scale_shape(scheme, rows, columns)
    found = {
        "weight_packed": Part(("I32",), (rows, ceil(columns * scheme.bits / 32))),
        "weight_scale": Part(FLOATS, scale),
        "weight_shape": Part(("I64", "I32"), (2,)),
        "weight_g_idx": Part(("I32",), (columns,), required=False),
    }
    if not scheme.symmetric:
        found["weight_zero_point"] = Part(("I32",), (ceil(rows * scheme.bits / 32), scale[-1]))
    return found


def _plain(scheme: Scheme, rows: int, columns: int) -> dict[str, Part]:
    stored = ("I8",) if scheme.number == "int" else ("F8_E4M3",)
    scale = _scale_shape(scheme, rows, columns)
    found = {
        "weight": Part(stored, (rows, columns)),
        "weight_scale": Part(FLOATS, scale),
        "weight_g_idx": Part(("I32",), (columns,), required=False),
    }
    if not scheme.symmetric:
        found["weight_zero_point"] = Part(("I8", "F8_E4M3"), scale)
    if scheme.static_inputs:
        found["input_scale"] = Part(FLOATS, (1,))
        found["input_zero_point"] = Part(("I8", "F8_E4M3"), (1,), required=False)
    return found


def _nvfp4(scheme: Scheme, rows: int, columns: int) -> dict[str, Part]:
    found = {
        "weight_packed": Part(("U8",), (rows, ceil(columns / 2))),
        "weight_scale": Part(("F8_E4M3",), (rows, ceil(columns / 16))),
        "weight_global_scale": Part(FLOATS, (1,)),
    }
    if scheme.static_inputs:
        found["input_global_scale"] = Part(FLOATS, (1,))
    return found


def _mxfp4(_scheme: Scheme, rows: int, columns: int) -> dict[str, Part]:
    return {
        "weight_packed": Part(("U8",), (rows, ceil(columns / 2))),
        "weight_scale": Part((MX_SCALE,), (rows, ceil(columns / 32))),
    }


def _gptq(scheme: Scheme, rows: int, columns: int) -> dict[str, Part]:
    groups = ceil(columns / scheme.group_size) if scheme.group_size > 0 else 1
    return {
        "qweight": Part(("I32",), (ceil(columns * scheme.bits / 32), rows)),
        "qzeros": Part(("I32",), (groups, ceil(rows * scheme.bits / 32))),
        "scales": Part(FLOATS, (groups, rows)),
        "g_idx": Part(("I32",), (columns,), required=False),
    }


def _awq(scheme: Scheme, rows: int, columns: int) -> dict[str, Part]:
    groups = ceil(columns / scheme.group_size) if scheme.group_size > 0 else 1
    return {
        "qweight": Part(("I32",), (columns, ceil(rows * scheme.bits / 32))),
        "qzeros": Part(("I32",), (groups, ceil(rows * scheme.bits / 32))),
        "scales": Part(FLOATS, (groups, rows)),
    }


_LAYOUTS = {
    "pack-quantized": _packed,
    "int-quantized": _plain,
    "float-quantized": _plain,
    "naive-quantized": _plain,
    "nvfp4-pack-quantized": _nvfp4,
    "mxfp4-pack-quantized": _mxfp4,
    "gptq": _gptq,
    "awq": _awq,
}

_PROMISES: dict[str, dict[str, Any]] = {
    "fp8-w8a8": {"bits": 8, "number": "float", "input_bits": 8},
    "int8-w8a8": {"bits": 8, "number": "int", "input_bits": 8},
    "int8-w8a16": {"bits": 8, "number": "int", "input_bits": None},
    "fp8-block": {"bits": 8, "number": "float", "strategy": "block"},
    "gptq-w4a16": {"bits": 4, "number": "int", "input_bits": None},
    "awq-w4a16": {"bits": 4, "number": "int", "input_bits": None},
    "nvfp4": {"bits": 4, "number": "float", "group_size": 16},
    "mxfp4": {"bits": 4, "number": "float", "group_size": 32},
}
"""What the scheme of a precision must be, by the names of ``Scheme``."""


def contradictions(scheme: Scheme, recipe: Mapping[str, Any]) -> list[str]:
    """Where a scheme is not what the recipe asks for: a line each."""
    wanted = dict(_PROMISES.get(recipe["precision"], {}))
    wanted |= {key: recipe[key] for key in ("group_size", "symmetric") if recipe.get(key) is not None}
    if recipe.get("activation_scales") is not None:
        wanted["static_inputs"] = recipe["activation_scales"] == "static"
    return [
        f"{key} is {getattr(scheme, key)}, and the recipe asks for {value}"
        for key, value in wanted.items()
        if getattr(scheme, key) != value
    ]


def is_ignored(layer: str, ignore: Sequence[str] | None) -> bool:
    """Whether a recipe leaves a layer as it is.

    Args:
        ignore: names, and regular expressions that begin with ``re:``; None where the recipe's engine has no such
            setting: it leaves alone whatever is not in one of the numbered blocks, such as the output head.
    """
    if ignore is None:
        return re.search(r"\.\d+\.", layer) is None
    return any(
        re.match(entry[3:], layer) is not None if entry.startswith("re:") else entry == layer
        for entry in ignore
    )
