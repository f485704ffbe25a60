"""Quantizes a model with AutoAWQ. shipfit runs it with this engine's own Python (``shipfit.core.launcher``).

Request: ``source`` and ``output`` (folders), ``documents``, ``samples``, ``tokens``, ``seed``, ``batch``
(samples in one pass through a layer), ``recipe`` (``group_size``). Result: ``versions``, ``samples``, ``tokens``,
``layers``, ``faults``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from awq import AutoAWQForCausalLM
from awq.quantize.quantizer import AwqQuantizer
from shipfit_legacy import legacy_view
from shipfit_packed import faults, finish
from shipfit_samples import sample_windows
from transformers import AutoConfig, AutoTokenizer

Report = Callable[[str, float | None], None]

# Shares of the whole time, as seen: loading, then the layers, then saving.
LOADED, QUANTIZED = 0.1, 0.95


class DroppedSamplesError(Exception):
    """The engine did not take the calibration as it was given; the message says what it took."""


class NeverRoutedError(Exception):
    """No token of the calibration reached an expert, and the engine cannot scale one without any."""

    field = "samples"
    hint = "calibrate on more, or more varied, text; llm-compressor does without and counts them"


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Quantize ``request["source"]`` into ``request["output"]``, an existing empty folder."""
    source, output = Path(request["source"]), Path(request["output"])
    torch.manual_seed(request["seed"])
    with tempfile.TemporaryDirectory(dir=output.parent) as view:
        readable = legacy_view(source, Path(view))
        report("reading the calibration text", 0.0)
        tokenizer = AutoTokenizer.from_pretrained(readable)
        windows = sample_windows(
            tokenizer, request["documents"], request["samples"], request["tokens"], request["seed"]
        )
        report("loading the model", 0.05)
        model = AutoAWQForCausalLM.from_pretrained(
            str(readable),
            torch_dtype=AutoConfig.from_pretrained(readable).torch_dtype or torch.float16,
            trust_remote_code=False,
            device_map="cpu",  # the engine moves a layer at a time to the GPU, where there is one
        )
        expected = quantized_layers(model)
        model.quantize(
            tokenizer,
            quant_config={
                "zero_point": True,
                "q_group_size": request["recipe"]["group_size"],
                "w_bit": 4,
                "version": "GEMM",
            },
            calib_data=[window.ids for window in windows],
            max_calib_samples=len(windows),
            max_calib_seq_len=request["tokens"],
            n_parallel_calib_samples=request["batch"],
            quantizer_cls=partial(Followed, report=report),
        )
        report("saving", QUANTIZED)
        model.save_quantized(str(output))
    quantization = json.loads((output / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    finish(source, output, quantization)
    return {
        "versions": {name: version(name) for name in ("autoawq", "transformers", "torch")},
        "samples": len(windows),
        "tokens": sum(len(window.ids) for window in windows),
        "layers": len(expected),
        "faults": faults(output, expected),
    }


def quantized_layers(model: Any) -> list[str]:
    """Names of what the engine means to quantize: the linear layers of the decoder, less those that it leaves out."""
    left_out = getattr(model, "modules_to_not_convert", [])
    inside = {id(part) for layer in model.get_model_layers(model.model) for part in layer.modules()}
    return [
        name
        for name, module in model.model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and id(module) in inside
        and not any(key in name for key in left_out)
    ]


class Followed(AwqQuantizer):
    """The engine's quantizer, which tells of each layer, and refuses what it would lose or stumble over itself."""

    def __init__(self, *arguments: Any, report: Report, **settings: Any) -> None:
        self.report, self.begun = report, 0
        super().__init__(*arguments, **settings)

    def init_quant(self, n_samples: int, max_seq_len: int) -> tuple[Any, Any, Any]:
        """Run the samples through the embedding, and count them: the engine drops long ones and joins short ones."""
        modules, arguments, inputs = super().init_quant(n_samples, max_seq_len)
        if inputs.shape[:2] != (n_samples, max_seq_len):
            taken = " samples of ".join(map(str, inputs.shape[:2]))
            raise DroppedSamplesError(f"AutoAWQ took {taken} tokens of {n_samples} of {max_seq_len}")
        return modules, arguments, inputs

    def _get_input_feat(self, layer: torch.nn.Module, named_linears: dict[str, torch.nn.Linear]) -> Any:
        total = len(self.modules)
        self.report(f"layer {self.begun + 1} of {total}", LOADED + (QUANTIZED - LOADED) * self.begun / total)
        self.begun += 1
        try:
            return super()._get_input_feat(layer, named_linears)
        except AssertionError as error:
            name, reason, _ = str(error).partition(" has a zero dimension.")
            if not reason:
                raise
            raise NeverRoutedError(f"no calibration token reached {name} of layer {self.begun}") from error
