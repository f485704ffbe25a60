"""Loads a saved model for measuring, whatever it is compressed as: as a torch module that gives the logits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, CompressedTensorsConfig

WORKING_BYTES = 3 * 2**30
"""Of a GPU, left free for what passes through the model: hidden states, and a window's logits."""


class IncompleteModelError(Exception):
    """The weights are not those of the model that config.json describes; the message names some."""


def load_model(folder: Path) -> torch.nn.Module:
    """The model as saved, on the GPU where there is one; what finds no room there on others, and on the host.

    Compressed weights become 16-bit ones, with the values that they stand for: those of compressed-tensors by its own
    hand, those of GPTQ and AWQ by ``shipfit_unpack``.

    Raises:
        IncompleteModelError: weights are missing; transformers would make some up.
        shipfit_unpack.UnknownFormatError: the weights are packed in a way that is not known here.
    """
    quantization = quantization_of(folder)
    method = quantization.get("quant_method")
    if method in ("gptq", "awq"):
        model, told = _unpacked(folder, quantization)
    elif method and _has_linear_experts(folder):
        from shipfit_experts import linear_experts  # with llm-compressor, which not every environment has

        with linear_experts():  # tells nothing of missing weights; the gate's structure does
            model, told = _decompressed(folder), {"missing_keys": []}
    elif method:
        model, told = _decompressed(folder, output_loading_info=True)
    else:
        model, told = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    if told["missing_keys"]:
        raise IncompleteModelError(f"there are no weights for {', '.join(sorted(told['missing_keys'])[:5])}")
    return _placed(model.eval())


def quantization_of(folder: Path) -> dict[str, Any]:
    """How the weights are quantized; empty where they are not. Early releases of AutoGPTQ had a file of their own."""
    quantization: dict[str, Any] | None = json.loads((folder / "config.json").read_bytes()).get(
        "quantization_config"
    )
    own = folder / "quantize_config.json"
    if quantization is None and own.exists():
        return {"quant_method": "gptq", **json.loads(own.read_bytes())}
    return quantization or {}


def _placed(model: Any) -> Any:
    if not torch.cuda.is_available():
        return model
    free = {
        number: torch.cuda.mem_get_info(number)[0] - WORKING_BYTES
        for number in range(torch.cuda.device_count())
    }
    size = model.get_memory_footprint()
    if size < free[0]:
        return model.to("cuda")
    from accelerate import dispatch_model, infer_auto_device_map

    # Layers that stay on the host come to the first GPU one by one, whenever they are used.
    whole = list(model._no_split_modules or ())  # noqa: SLF001 - accelerate's own examples take it from there
    places = infer_auto_device_map(model, max_memory={**free, "cpu": size}, no_split_module_classes=whole)
    return dispatch_model(model, places)


def _decompressed(folder: Path, **options: Any) -> Any:
    config = CompressedTensorsConfig(run_compressed=False)
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto", quantization_config=config, **options)


def _has_linear_experts(folder: Path) -> bool:
    """Whether every expert's matrices are stored apart, as llm-compressor does, whatever the architecture's way."""
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            if any(".experts.0." in name for name in stored.keys()):  # noqa: SIM118 - it is no dictionary
                return True
    return False


def _unpacked(folder: Path, quantization: dict[str, Any]) -> tuple[torch.nn.Module, dict[str, Any]]:
    from shipfit_unpack import unpacked_weights  # with compressed-tensors, which not every environment has

    config = AutoConfig.from_pretrained(folder)
    config.quantization_config = None
    architecture = getattr(
        transformers, config.architectures[0]
    )  # the Auto class takes no weights from memory
    return architecture.from_pretrained(
        None,
        config=config,
        state_dict=unpacked_weights(folder, quantization, config.dtype),
        dtype=config.dtype,
        output_loading_info=True,
    )
