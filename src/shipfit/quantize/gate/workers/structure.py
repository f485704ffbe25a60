"""Checks that an artifact is whole and is what its recipe says, tensor by tensor, against its source.

Runs in the environment that reads the artifact, with a few megabytes of memory. Request: ``source``, ``artifact``,
``recipe``; see ``shipfit.quantize.gate.measurements``. Its figure is the number of faults; a fault is a kind, a tensor
or layer, and what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipfit_layouts import (
    FLOATS,
    MX_SCALE,
    Part,
    Scheme,
    UnknownLayoutError,
    contradictions,
    is_ignored,
    part_names,
    parts,
    scheme_of,
)
from shipfit_stored import DamagedFileError, Stored, read_header, weight_files

Report = Callable[[str, float | None], None]

TOLD = 100
"""Most faults that are told one by one."""

TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")
"""Files that decide how text becomes tokens: an artifact's must be its source's."""

LEFT_OUT = re.compile(r"rotary_emb\.inv_freq$")
"""Tensors that are computed anew at every load, and so not saved again."""


@dataclass
class Faults:
    """What was found wrong."""

    found: list[dict[str, str]] = field(default_factory=list)

    def add(self, kind: str, tensor: str, detail: str) -> None:
        """Add one."""
        self.found.append({"kind": kind, "tensor": tensor, "detail": detail})


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Check the artifact."""
    source, artifact, faults = Path(request["source"]), Path(request["artifact"]), Faults()
    report("reading the headers", 0.0)
    wanted = {name: tensor for file in weight_files(source) for name, tensor in read_header(file).items()}
    stored = read_all(artifact, faults)
    check_tokenizer(source, artifact, faults)
    scheme = read_scheme(source, artifact, request["recipe"], faults)
    layers = quantized_layers(wanted, stored, scheme)
    check_tensors(wanted, stored, layers, scheme, is_tied(source), faults)
    if scheme:
        check_choice(wanted, layers, linear_layers(source), request["recipe"].get("ignore"), faults)
    check_values(stored, scheme, report, faults)
    return {
        "figures": {"structure_faults": len(faults.found)},
        "intervals": {},
        "details": {
            "files": len(weight_files(artifact)),
            "tensors": len(stored),
            "bytes": sum(tensor.bytes for tensor in stored.values()),
            "formats": _bytes_by_format(stored),
            "quantized_layers": len(layers),
            "faults": faults.found[:TOLD],
        },
    }


def read_all(folder: Path, faults: Faults) -> dict[str, Stored]:
    """Every tensor of the artifact's files that can be read."""
    stored: dict[str, Stored] = {}
    for file in weight_files(folder):
        try:
            tensors = read_header(file)
        except DamagedFileError as error:
            faults.add("unreadable", file.name, str(error))
            continue
        for name in tensors.keys() & stored.keys():
            faults.add("twice", name, f"is in {stored[name].file.name} and in {file.name}")
        stored |= tensors
    if not weight_files(folder):
        faults.add("unreadable", folder.name, "holds no safetensors files")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        mapped = json.loads(index.read_bytes())["weight_map"]
        for name in sorted(mapped.keys() | stored.keys()):
            at = stored[name].file.name if name in stored else None
            if mapped.get(name) != at:
                faults.add(
                    "index",
                    name,
                    f"is in {at or 'no file'}, and the index says {mapped.get(name) or 'nothing'}",
                )
    return stored


def check_tokenizer(source: Path, artifact: Path, faults: Faults) -> None:
    """Text must become the same tokens."""
    for name in TOKENIZER:
        ours, theirs = artifact / name, source / name
        if theirs.exists() and (not ours.exists() or ours.read_bytes() != theirs.read_bytes()):
            faults.add("tokenizer", name, "is not the source's" if ours.exists() else "is missing")


def read_scheme(source: Path, artifact: Path, recipe: Mapping[str, Any], faults: Faults) -> Scheme | None:
    """How the artifact's layers are quantized by its own word; None where it stores them as the source does."""
    config, before = (
        json.loads((folder / "config.json").read_bytes()).get("quantization_config")
        for folder in (artifact, source)
    )
    if config == before:
        if recipe["precision"] not in ("bf16", "fp16"):
            faults.add(
                "config", "config.json", f"does not say that anything is quantized as {recipe['precision']}"
            )
        return None
    try:
        scheme = scheme_of(config or {})
        parts(scheme, 32, 32)
    except UnknownLayoutError as error:
        faults.add("config", "config.json", f"has a quantization_config that cannot be checked: {error}")
        return None
    for line in contradictions(scheme, recipe):
        faults.add("config", "config.json", line)
    return scheme


def quantized_layers(
    wanted: Mapping[str, Stored], stored: Mapping[str, Stored], scheme: Scheme | None
) -> set[str]:
    """Layers of the source that the artifact stores quantized, whole or not."""
    if scheme is None:
        return set()
    marks = tuple(f".{name}" for name in part_names() - {"weight"})
    layers = {name.rpartition(".")[0] for name in stored if name.endswith(marks)}
    return {layer for layer in layers if f"{layer}.weight" in wanted}


def check_tensors(
    wanted: Mapping[str, Stored],
    stored: Mapping[str, Stored],
    layers: set[str],
    scheme: Scheme | None,
    tied: bool,
    faults: Faults,
) -> None:
    """Every tensor of the source must be there, as it was or as its quantized parts, and nothing else."""
    known: set[str] = set()
    for name, tensor in wanted.items():
        layer = name.removesuffix(".weight")
        if scheme and layer in layers and name.endswith(".weight"):
            rows, columns = _matrix(tensor.shape)
            expected = parts(scheme, rows, columns)
            known |= {f"{layer}.{part}" for part in expected}
            for part, want in expected.items():
                _check_part(f"{layer}.{part}", stored.get(f"{layer}.{part}"), want, faults)
            _check_shape_tensor(f"{layer}.weight_shape", stored, tensor.shape, faults)
        else:
            known.add(name)
            _check_kept(name, tensor, stored.get(name), tied, faults)
    for name in sorted(stored.keys() - known):
        if not (tied and _is_head(name)):
            faults.add("unexpected", name, "is neither in the source nor a part of a quantized layer")


def _check_part(name: str, stored: Stored | None, want: Part, faults: Faults) -> None:
    if stored is None:
        if want.required:
            faults.add("missing", name, "a part of a quantized layer")
        return
    formats = tuple("U8" if each == MX_SCALE else each for each in want.formats)
    if stored.format not in formats:
        faults.add("format", name, f"is {stored.format}, not {' or '.join(formats)}")
    if stored.shape != want.shape and not (want.shape == (1,) and stored.shape == ()):
        faults.add("shape", name, f"is {list(stored.shape)}, not {list(want.shape)}")


def _check_shape_tensor(
    name: str, stored: Mapping[str, Stored], shape: tuple[int, ...], faults: Faults
) -> None:
    tensor = stored.get(name)
    if tensor is not None and tensor.shape == (2,) and tuple(tensor.integers()) != shape:
        faults.add("shape", name, f"says {tensor.integers().tolist()}, and the source has {list(shape)}")


def _check_kept(name: str, tensor: Stored, stored: Stored | None, tied: bool, faults: Faults) -> None:
    if stored is None:
        if not (LEFT_OUT.search(name) or (tied and _is_head(name))):
            faults.add("missing", name, f"is in the source, {list(tensor.shape)}")
        return
    allowed = {tensor.format, *(FLOATS if tensor.format in FLOATS else ())}
    if stored.format not in allowed:
        faults.add("format", name, f"is {stored.format}, and is not among the layers that are quantized")
    if stored.shape != tensor.shape:
        faults.add("shape", name, f"is {list(stored.shape)}, and the source's is {list(tensor.shape)}")


def check_choice(
    wanted: Mapping[str, Stored],
    layers: set[str],
    linear: set[str],
    ignore: list[str] | None,
    faults: Faults,
) -> None:
    """The layers that the recipe names must be quantized, and those that it leaves alone must not be."""
    kinds = {_kind(layer) for layer in layers}
    matrices = {name.removesuffix(".weight") for name, tensor in wanted.items() if len(tensor.shape) == 2}
    for layer in sorted(matrices):
        ignored = is_ignored(layer, ignore)
        if layer in layers and ignored:
            faults.add("quantized", layer, "the recipe leaves it as it is")
        if layer not in layers and not ignored and (layer in linear or _kind(layer) in kinds):
            faults.add(
                "not quantized", layer, "it is stored as in the source, and the recipe does not ignore it"
            )


def check_values(stored: Mapping[str, Stored], scheme: Scheme | None, report: Report, faults: Faults) -> None:
    """Every number must be one."""
    total, done, said = sum(tensor.bytes for tensor in stored.values()) or 1, 0, -1
    for name, tensor in stored.items():
        if done * 100 // total > said:
            said = done * 100 // total
            report(f"reading {name}", done / total)
        exponents = scheme is not None and "mxfp4" in scheme.layout and name.endswith(".weight_scale")
        if wrong := tensor.not_finite(MX_SCALE if exponents else None):
            faults.add("not finite", name, f"{wrong} of its values are NaN or infinite")
        done += tensor.bytes


def linear_layers(source: Path) -> set[str]:
    """Names of the model's linear layers, from its configuration; no weights are read."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))
    return {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


def is_tied(source: Path) -> bool:
    """Whether the output head is the embedding: then it may be stored or not."""
    from transformers import AutoConfig

    return bool(AutoConfig.from_pretrained(source).get_text_config().tie_word_embeddings)


def _is_head(name: str) -> bool:
    return name.endswith("lm_head.weight")


def _kind(layer: str) -> str:
    """A layer's name without the numbers of block and expert."""
    return re.sub(r"\.\d+(?=\.)", ".*", layer)


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0], shape[1]) if len(shape) == 2 else (1, 1)


def _bytes_by_format(stored: Mapping[str, Stored]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for tensor in stored.values():
        counted[tensor.format] += tensor.bytes
    return dict(counted.most_common())
