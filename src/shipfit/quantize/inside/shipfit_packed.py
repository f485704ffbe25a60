"""What the engines that write GPTQ's and AWQ's own formats share: a layer is ``qweight``, ``qzeros`` and ``scales``."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf")

Fault = dict[str, str]


def finish(source: Path, output: Path, quantization: dict[str, Any]) -> None:
    """Give the weights in ``output`` all else that the source has, byte for byte, and the source's own configuration.

    What an engine saves beside its weights depends on its release of transformers: rotary settings and tokenizer
    classes that another release does not read, temporary paths, timings.
    """
    for file in output.iterdir():
        if not file.name.endswith(WEIGHTS):
            file.unlink()
    for file in source.iterdir():
        if file.is_file() and not file.name.endswith(WEIGHTS):
            shutil.copyfile(file, output / file.name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "quantization_config": quantization}, indent=2)
    (output / "config.json").write_text(text + "\n", encoding="utf-8")


def matches(layer: str, ignored: Sequence[str]) -> bool:
    """Whether a recipe leaves a layer as it is: by its name, or by a regular expression that begins with ``re:``."""
    return any(
        re.match(pattern.removeprefix("re:"), layer) if pattern.startswith("re:") else pattern == layer
        for pattern in ignored
    )


def packed_layers(folder: Path) -> list[str]:
    """Names of the quantized layers in a folder."""
    return sorted(
        name.removesuffix(".qweight")
        for file in sorted(folder.glob("*.safetensors"))
        for name in _names(file)
        if name.endswith(".qweight")
    )


def faults(folder: Path, expected: Collection[str]) -> list[Fault]:
    """What went wrong without a word: layers that should be quantized and are not, or the reverse; scales of no use.

    Args:
        folder: with the weights as written.
        expected: names of the layers that the recipe quantizes.
    """
    packed = packed_layers(folder)
    found = [
        _fault("left-out", layer, "is as it was; the recipe quantizes it")
        for layer in sorted(set(expected) - set(packed))
    ]
    found += [
        _fault("unexpected", layer, "is quantized; the recipe leaves it as it is")
        for layer in sorted(set(packed) - set(expected))
    ]
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                tensor = tensors.get_tensor(name)
                if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                    count = int((~torch.isfinite(tensor)).sum())
                    layer, _, part = name.rpartition(".")
                    found.append(
                        _fault("not-finite", layer, f"{count} of {tensor.numel()} {part} are NaN or Inf")
                    )
    return found


def _names(file: Path) -> list[str]:
    with safe_open(file, framework="pt") as tensors:
        return list(tensors.keys())


def _fault(kind: str, layer: str, detail: str) -> Fault:
    return {"kind": kind, "layer": layer, "detail": detail}
