"""Quantizes a model with llm-compressor. shipfit runs it with this engine's own Python (``shipfit.core.launcher``).

What the modifiers are is in ``shipfit_recipes.py``, what is refused and what counts as a fault in
``shipfit_checks.py``, how the work is followed in ``shipfit_watch.py``, all beside this file.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.utils import match_named_modules, patch_attr
from llmcompressor import oneshot
from llmcompressor.modifiers import Modifier
from llmcompressor.pipelines.cache import IntermediatesCache
from shipfit_checks import check_source, find_faults
from shipfit_experts import linear_experts
from shipfit_recipes import TARGETS, GPTQModifier, make_modifiers, make_scheme
from shipfit_samples import Window, sample_windows
from shipfit_watch import Report, Watch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer

WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf")

# Shares of the whole time, as seen: loading, then the layers, then saving.
LOADED, QUANTIZED = 0.15, 0.95


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Quantize ``request["source"]`` into ``request["output"]``, an existing empty folder."""
    source, output, recipe = Path(request["source"]), Path(request["output"]), request["recipe"]
    torch.manual_seed(request["seed"])
    report("loading the model", 0.0)
    with linear_experts():
        model = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    layers = dict(match_named_modules(model, TARGETS, recipe["ignore"]))
    check_source(model, layers, make_scheme(recipe), recipe["ignore"])
    modifiers = make_modifiers(recipe, model, offload=request.get("offload", False))
    windows = read_windows(modifiers, request, report)
    # A block's outputs are computed again after it is quantized where its weights have changed by then.
    twice = any(isinstance(modifier, GPTQModifier) for modifier in modifiers)
    watch = Watch(
        model,
        layers,
        samples=len(windows),
        rounds=sum(modifier.requires_calibration_data for modifier in modifiers),
        passes=2 if twice else 1,
        report=report,
        share=(LOADED, QUANTIZED),
    )
    with watch, without_pinning():
        oneshot(
            model=model,
            dataset=DataLoader(batches(windows, request["batch"]), batch_size=None) if windows else None,
            recipe=modifiers,
            propagate_error=twice,
        )
    faults = [*watch.faults(), *find_faults(model, layers, recipe["ignore"])]
    report("saving", QUANTIZED)
    model.save_pretrained(output, save_compressed=True)
    copy_the_rest(source, output)
    packages = ("llmcompressor", "compressed-tensors", "transformers", "torch")
    return {
        "versions": {name: version(name) for name in packages},
        "samples": len(windows),
        "tokens": sum(len(window.ids) for window in windows),
        "layers": len(layers),
        "faults": faults,
    }


def read_windows(modifiers: list[Modifier], request: dict[str, Any], report: Report) -> list[Window]:
    """The calibration text, where one of the modifiers needs any."""
    if not any(modifier.requires_calibration_data for modifier in modifiers):
        return []
    report("reading the calibration text", LOADED / 2)
    return sample_windows(
        AutoTokenizer.from_pretrained(request["source"]),
        request["documents"],
        request["samples"],
        request["tokens"],
        request["seed"],
    )


def batches(windows: list[Window], batch: int) -> list[dict[str, torch.Tensor]]:
    """Up to ``batch`` windows of one length together, so that none is padded or cut; the longest first."""
    by_length: dict[int, list[list[int]]] = defaultdict(list)
    for window in windows:
        by_length[len(window.ids)].append(window.ids)
    return [
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        for _, group in sorted(by_length.items(), reverse=True)
        for ids in torch.tensor(group).split(batch)
    ]


def without_pinning() -> AbstractContextManager[None]:
    """Keep AWQ from pinning memory where there is no accelerator.

    It pins what it will copy to one, and PyTorch refuses to pin where there is none to copy to.
    """
    if torch.accelerator.is_available():
        return nullcontext()
    return patch_attr(IntermediatesCache, "pin_memory", lambda *_: None)


def copy_the_rest(source: Path, output: Path) -> None:
    """Take over the tokenizer and all else that is not weights, byte for byte.

    A tokenizer that transformers 5 saves anew names a class that transformers 4 cannot read.
    """
    for file in source.iterdir():
        if file.is_file() and not file.name.endswith(WEIGHTS) and file.name != "config.json":
            shutil.copyfile(file, output / file.name)
