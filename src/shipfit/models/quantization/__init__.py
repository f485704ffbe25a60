"""What a checkpoint's ``quantization_config`` says, and how it stores each weight.

Keys and values: the quantizers of huggingface/transformers (src/transformers/utils/quantization_config.py). What the
engine keeps in memory of each format: vllm-project/vllm (vllm/model_executor/layers/quantization).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from shipfit.core.errors import InputError
from shipfit.models.facts import ModelFacts
from shipfit.models.names import layers_path
from shipfit.models.quantization.assign import assigned
from shipfit.models.quantization.compressed import read_compressed_tensors
from shipfit.models.quantization.modelopt import read_modelopt
from shipfit.models.quantization.section import Reading, Section
from shipfit.models.quantization.single import (
    read_auto_round,
    read_awq,
    read_bitsandbytes,
    read_fp8,
    read_gptq,
    read_mxfp4,
    read_mxfp8,
)

_READERS: dict[str, Callable[[Section], Reading]] = {
    "compressed-tensors": read_compressed_tensors,
    "fp8": read_fp8,
    "fbgemm_fp8": read_fp8,
    "gptq": read_gptq,
    "awq": read_awq,
    "auto-round": read_auto_round,
    "mxfp4": read_mxfp4,
    "mxfp8": read_mxfp8,
    "modelopt": read_modelopt,
    "bitsandbytes": read_bitsandbytes,
}
_OTHER_NAMES = {
    "auto_round": "auto-round",
    "intel/auto-round": "auto-round",
    "inc": "auto-round",
    "compressed_tensors": "compressed-tensors",
    "modelopt_fp4": "modelopt",
    "modelopt_mixed": "modelopt",
    "modelopt_mxfp8": "modelopt",
}


def with_formats(facts: ModelFacts, config: Mapping[str, Any], source: str) -> ModelFacts:
    """The facts with what the checkpoint's configuration says of its quantization, as a whole and for each weight.

    Unchanged where it is not quantized. A weight of which only some layers or matrices are converted becomes several
    of the same name.

    Args:
        facts: the model, its weights without formats.
        config: the content of ``config.json``.
        source: where it was read; for messages.

    Raises:
        InputError: the ``quantization_config`` lacks a field, or its method is not known.
    """
    reading = _read(config, source)
    if reading is None:
        return facts
    path = layers_path(reading.names)
    weights = tuple(part for weight in facts.weights for part in assigned(weight, reading, path))
    return replace(facts, weights=weights, quantization=reading.quantization)


def _read(config: Mapping[str, Any], source: str) -> Reading | None:
    values = _values(config)
    if not values:
        return None
    section = Section(values, source)
    method = section.method()
    method = _OTHER_NAMES.get(method, method)
    if method == "fp8" and config.get("expert_dtype") == "fp4":
        section = Section({**values, "moe_quant_algo": values.get("moe_quant_algo") or "MXFP4"}, source)
    if method not in _READERS:
        raise InputError(
            f"shipfit does not know how {method!r} stores weights",
            hint=f"it knows: {', '.join(_READERS)}",
            where=source,
            field="quantization_config.quant_method",
        )
    return _READERS[method](section)


def _values(config: Mapping[str, Any]) -> Any:
    """The section, where the config or its language model's has one; ``compression_config`` is its older name."""
    for place in (config, config.get("text_config")):
        if isinstance(place, Mapping):
            for key in ("quantization_config", "compression_config"):
                if place.get(key):
                    return place[key]
    return None
