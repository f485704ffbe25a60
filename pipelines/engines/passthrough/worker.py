"""Takes a model over at 16 bits. shipfit runs it with llm-compressor's own Python (``shipfit.core.launcher``).

Request: ``source`` and ``output`` (folders), ``recipe`` (``precision``: bf16 or fp16). Result: ``versions``, ``layers``
(tensors that were cast), ``faults``; ``samples`` and ``tokens`` are 0.

A shard that is in that type already is copied byte for byte. Any other is written anew, one tensor at a time: memory is
bounded by the largest tensor, not by the shard.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

Report = Callable[[str, float | None], None]
Fault = dict[str, str]
Header = dict[str, dict[str, Any]]

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
CODES = {"bf16": "BF16", "fp16": "F16"}
"""What safetensors calls them."""
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a value of the types that are cast; all others, such as counters, stay as they are."""

INDEX = "model.safetensors.index.json"
WEIGHTS = (".safetensors", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf")

BLOCK = 2**24
"""Bytes that are copied at a time."""


class NotPlainError(Exception):
    """The source is no plain model in safetensors."""

    field = "source"
    hint = "name the checkpoint that it was made from"


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Write ``request["source"]`` at ``request["recipe"]["precision"]`` into ``request["output"]``, an empty folder."""
    source, output, precision = (
        Path(request["source"]),
        Path(request["output"]),
        request["recipe"]["precision"],
    )
    shards = require_plain(source)
    total = sum(shard.stat().st_size for shard in shards)
    done, layers, faults = 0, 0, []
    for shard in shards:
        before = done

        def tell(name: str, bytes_of_shard: int, before: int = before) -> None:
            report(name, (before + bytes_of_shard) / total)

        cast, fallen = take_over(shard, output / shard.name, precision, tell)
        layers += cast
        faults += fallen
        done += shard.stat().st_size
    copy_the_rest(source, output)
    if layers:
        write_config(source, output, precision)
        write_index(source, output)
    return {
        "versions": {name: version(name) for name in ("safetensors", "torch")},
        "samples": 0,
        "tokens": 0,
        "layers": layers,
        "faults": faults,
    }


def require_plain(source: Path) -> list[Path]:
    """The shards of the source.

    Raises:
        NotPlainError: it has none, or they are compressed: their values mean nothing without their scales.
    """
    config = json.loads((source / "config.json").read_text())
    compressed = config.get("quantization_config") or config.get("compression_config")
    if compressed:
        method = compressed.get("quant_method", "some method")
        raise NotPlainError(
            f"the source is compressed already, by {method}: it has no 16-bit weights to take over"
        )
    shards = sorted(source.glob("*.safetensors"))
    if not shards:
        raise NotPlainError("the source has no weights in safetensors")
    return shards


def take_over(
    shard: Path, target: Path, precision: str, report: Callable[[str, int], None]
) -> tuple[int, list[Fault]]:
    """Copy a shard, or write it anew where tensors are of another type. Returns how many were, and what overflowed."""
    header, begin = read_header(shard)
    names = sorted(
        (name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"]
    )
    to_cast = {name for name in names if header[name]["dtype"] in WIDTHS.keys() - {CODES[precision]}}
    if not to_cast:
        copy(shard, target, report)
        return 0, []
    faults: list[Fault] = []
    with safe_open(shard, framework="pt") as tensors, target.open("wb") as file:
        file.write(cast_header(header, names, to_cast, CODES[precision]))
        for name in names:
            report(name, begin + header[name]["data_offsets"][1])
            tensor = tensors.get_tensor(name)
            if name in to_cast:
                tensor, fault = cast_tensor(name, tensor, TYPES[precision])
                faults += [fault] if fault else []
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return len(to_cast), faults


def cast_tensor(name: str, tensor: torch.Tensor, kind: torch.dtype) -> tuple[torch.Tensor, Fault | None]:
    """The tensor in another type, and a fault where a value became infinite or was no number before."""
    cast = tensor.to(kind)
    wrong = ~torch.isfinite(cast)
    if not wrong.any():
        return cast, None
    largest = tensor.abs().max().item()
    count = int(wrong.sum())
    return cast, {
        "kind": "not-finite",
        "layer": name.removesuffix(".weight"),
        "detail": f"{count} of {cast.numel()} values do not fit {kind}; the largest is {largest:.4g}",
    }


def read_header(shard: Path) -> tuple[Header, int]:
    """A shard's header, and where its data begins (huggingface.co/docs/safetensors: the format)."""
    with shard.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


def cast_header(header: Header, names: list[str], to_cast: set[str], code: str) -> bytes:
    """The header of the same tensors in the same order, those of ``to_cast`` in another type; ready to be written."""
    changed: Header = {"__metadata__": header["__metadata__"]} if "__metadata__" in header else {}
    offset = 0
    for name in names:
        entry = header[name]
        begin, end = entry["data_offsets"]
        size = end - begin
        if name in to_cast:
            size = size // WIDTHS[entry["dtype"]] * WIDTHS[code]
        kind = code if name in to_cast else entry["dtype"]
        changed[name] = {"dtype": kind, "shape": entry["shape"], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(changed, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data is aligned
    return len(text).to_bytes(8, "little") + text


def copy(shard: Path, target: Path, report: Callable[[str, int], None]) -> None:
    """Copy a file in blocks."""
    with shard.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(BLOCK):
            writing.write(block)
            report(f"copying {shard.name}", writing.tell())


def write_config(source: Path, output: Path, precision: str) -> None:
    """``config.json`` with the new type, wherever it names one."""
    kind = str(TYPES[precision]).removeprefix("torch.")

    def renamed(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: kind if key in ("dtype", "torch_dtype") and isinstance(each, str) else renamed(each)
            for key, each in value.items()
        }

    config = renamed(json.loads((source / "config.json").read_text()))
    (output / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_index(source: Path, output: Path) -> None:
    """The index of the shards, where there is one, with the bytes that they have now."""
    if not (source / INDEX).exists():
        return
    index = json.loads((source / INDEX).read_text())
    headers = [read_header(shard) for shard in sorted(output.glob("*.safetensors"))]
    ends = [
        max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        for header, _ in headers
    ]
    index.setdefault("metadata", {})["total_size"] = sum(ends)
    (output / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def copy_the_rest(source: Path, output: Path) -> None:
    """Take over the tokenizer and all else that is not weights, byte for byte."""
    for file in source.iterdir():
        if file.is_file() and not file.name.endswith(WEIGHTS):
            shutil.copyfile(file, output / file.name)
