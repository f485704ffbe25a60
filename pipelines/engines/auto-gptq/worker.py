"""Quantizes a model with AutoGPTQ, on CUDA. shipfit runs it with this engine's own Python (``shipfit.core.launcher``).

Request: ``source`` and ``output`` (folders), ``documents``, ``samples``, ``tokens``, ``seed``, ``batch``
(samples in one pass through a layer), ``recipe`` (``group_size``, ``symmetric``, ``act_order``). Result: ``versions``,
``samples``, ``tokens``, ``layers``, ``faults``.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from auto_gptq import AutoGPTQForCausalLM, BaseQuantizeConfig
from shipfit_legacy import legacy_view
from shipfit_packed import Fault, faults, finish
from shipfit_samples import sample_windows
from transformers import AutoConfig, AutoTokenizer

Report = Callable[[str, float | None], None]

# Shares of the whole time: loading, then the layers, then saving.
LOADED, QUANTIZED = 0.1, 0.95


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Quantize ``request["source"]`` into ``request["output"]``, an existing empty folder."""
    source, output, recipe = Path(request["source"]), Path(request["output"]), request["recipe"]
    torch.manual_seed(request["seed"])
    settings = BaseQuantizeConfig(
        bits=4,
        group_size=recipe["group_size"],
        sym=recipe["symmetric"],
        desc_act=recipe["act_order"],
    )
    with tempfile.TemporaryDirectory(dir=output.parent) as view:
        readable = legacy_view(source, Path(view))
        report("reading the calibration text", 0.0)
        tokenizer = AutoTokenizer.from_pretrained(readable)
        windows = sample_windows(
            tokenizer, request["documents"], request["samples"], request["tokens"], request["seed"]
        )
        report("loading the model", 0.05)
        model = AutoGPTQForCausalLM.from_pretrained(
            str(readable),
            settings,
            torch_dtype=AutoConfig.from_pretrained(readable).torch_dtype or torch.float16,
        )
        expected = quantized_layers(model)
        biased = {name for name, _ in model.model.named_parameters() if name.endswith(".bias")}
        follow_layers(report)
        samples = [{"input_ids": window.ids, "attention_mask": [1] * len(window.ids)} for window in windows]
        unreached = watch(model.model, expected)
        # Hidden states of all samples, on the GPU, would be several times what a layer takes.
        model.quantize(samples, batch_size=request["batch"], cache_examples_on_gpu=False)
        report("saving", QUANTIZED)
        drop_biases(model, expected, biased)
        model.save_quantized(str(output))
    finish(source, output, {**settings.to_dict(), "model_name_or_path": None, "model_file_base_name": None})
    return {
        "versions": {name: version(name) for name in ("auto-gptq", "transformers", "torch")},
        "samples": len(samples),
        "tokens": sum(len(window.ids) for window in windows),
        "layers": len(expected),
        "faults": faults(output, expected) + [never_routed(layer) for layer in sorted(unreached)],
    }


def quantized_layers(model: Any) -> list[str]:
    """Names of what the engine means to quantize: the linear layers of the decoder."""
    return [
        name
        for name, module in model.model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith(f"{model.layers_block_name}.")
    ]


def watch(model: torch.nn.Module, layers: Collection[str]) -> set[str]:
    """Those of the layers that no token has reached yet; one leaves the set with its first."""
    unreached = set(layers)

    def reach(layer: str, inputs: torch.Tensor) -> None:
        if inputs.numel():
            unreached.discard(layer)

    for layer in layers:
        model.get_submodule(layer).register_forward_pre_hook(
            lambda _module, inputs, layer=layer: reach(layer, inputs[0])
        )
    return unreached


def never_routed(layer: str) -> Fault:
    """The fault of a layer whose inputs the engine takes for zeros (auto_gptq/quantization/gptq.py of 0.7.1: dead)."""
    return {
        "kind": "never-routed",
        "layer": layer,
        "detail": "no calibration token reached it: all its weights are zeros",
    }


def drop_biases(model: Any, layers: Collection[str], biased: Collection[str]) -> None:
    """Take out the biases of zeros that the engine gives to layers without one: the source has no such tensors.

    Args:
        model: as quantized.
        layers: names of the quantized layers.
        biased: names of the biases that the source has.
    """
    for name in layers:
        if f"{name}.bias" not in biased:
            model.model.get_submodule(name).bias = None


def follow_layers(report: Report) -> None:
    """Report each layer of the model when its quantization begins: the engine tells of it in its log."""

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            begun = re.fullmatch(r"Start quantizing layer (\d+)/(\d+)", record.getMessage())
            if begun:
                number, total = map(int, begun.groups())
                report(f"layer {number} of {total}", LOADED + (QUANTIZED - LOADED) * (number - 1) / total)

    log = logging.getLogger("auto_gptq")
    log.setLevel(logging.INFO)
    log.addHandler(Heard())
