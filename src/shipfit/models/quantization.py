"""What a checkpoint's ``quantization_config`` says, in shipfit's names.

Keys and values: the quantizers of huggingface/transformers (src/transformers/utils/quantization_config.py) and
compressed-tensors (src/compressed_tensors/quantization/quant_scheme.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipfit.core.errors import InputError
from shipfit.models.facts import Quantization


def read_quantization(config: Mapping[str, Any], source: str) -> Quantization | None:
    """How a checkpoint is quantized; None where it is not.

    Args:
        config: the content of ``config.json``.
        source: where it was read; for messages.

    Raises:
        InputError: there is a ``quantization_config`` without a ``quant_method``.
    """
    section = config.get("quantization_config")
    if not section:
        return None
    if not isinstance(section, Mapping) or not isinstance(section.get("quant_method"), str):
        raise InputError(
            "has no quant_method",
            hint="use the config.json that the model was published with",
            where=source,
            field="quantization_config",
        )
    method = section["quant_method"]
    return Quantization(method, _precision(method, section))


def _precision(method: str, section: Mapping[str, Any]) -> str | None:
    bits = section.get("bits", section.get("w_bit"))
    match method:
        case "fp8" | "fbgemm_fp8":
            return "fp8-w8a8"
        case "gptq":
            return {4: "gptq-w4a16", 8: "int8-w8a16"}.get(bits) if isinstance(bits, int) else None
        case "awq":
            return "awq-w4a16" if bits == 4 else None
        case "compressed-tensors":
            return _compressed_tensors(section)
    return None


def _compressed_tensors(section: Mapping[str, Any]) -> str | None:
    groups = section.get("config_groups")
    if not isinstance(groups, Mapping) or len(groups) != 1:
        return None
    scheme = next(iter(groups.values()))
    if not isinstance(scheme, Mapping) or not isinstance(scheme.get("weights"), Mapping):
        return None
    weights, activations = scheme["weights"], scheme.get("input_activations") or {}
    found = (weights.get("type"), weights.get("num_bits"), activations.get("num_bits"))
    if found == ("int", 4, None):
        return "gptq-w4a16" if weights.get("symmetric", True) else "awq-w4a16"
    return {
        ("float", 8, 8): "fp8-w8a8",
        ("int", 8, 8): "int8-w8a8",
        ("int", 8, None): "int8-w8a16",
        ("float", 4, 4): "nvfp4",
    }.get(found)
