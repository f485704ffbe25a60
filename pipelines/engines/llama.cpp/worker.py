"""Makes a GGUF of a model with llama.cpp. shipfit runs it with this engine's own Python (``shipfit.core.launcher``).

Request: ``source`` and ``output`` (folders), ``baselines`` (folder of what is made of sources once), ``recipe``
(``precision``, ``importance_matrix``), and for the importance matrix ``documents``, ``samples``, ``tokens``, ``seed``.
Result: ``versions``, ``samples``, ``tokens``, ``layers``, ``faults``.

Convert to 16 bits, measure which weights matter on the calibration windows (llama-imatrix), quantize (llama-quantize).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import shipfit_gguf as llama
from shipfit_samples import sample_windows
from transformers import AutoTokenizer

Report = Callable[[str, float | None], None]
Fault = dict[str, str]

# Shares of the whole time, as seen on a small model: conversion, then the importance matrix, then quantization.
CONVERTED, WEIGHED = 0.3, 0.8

FALLBACK = re.compile(
    r"warning: (\S+)\s+- ncols\s+(\d+) not divisible by\s+(\d+) \(required for type\s+(\S+)\)"
    r".*falling back to\s+(\S+)"
)

NEVER_WEIGHED = ("token_embd.weight", "output.weight")
"""llama-imatrix looks at neither unless it is asked: rows of the one are looked up, the other makes the logits."""

BATCH = 512
"""Tokens in one pass: the logits of all of them are held at once, a MiB each at a vocabulary of 262,144."""


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Quantize ``request["source"]`` into ``request["output"]``, an existing empty folder."""
    source, output, recipe = Path(request["source"]), Path(request["output"]), request["recipe"]
    windows: list[list[int]] = []
    faults: list[Fault] = []
    with (
        llama.source_gguf(
            source, Path(request["baselines"]), lambda text, done: report(text, CONVERTED * done)
        ) as wide,
        # Beside the output, not in a small /tmp. Programs run in it, so that no path gets into what they write.
        tempfile.TemporaryDirectory(dir=output.parent) as scratch,
    ):
        if recipe.get("importance_matrix"):
            report("reading the calibration text", CONVERTED)
            windows, faults = weigh(wide, source, request, Path(scratch), report)
        layers, fallen = quantize(wide, output, recipe, Path(scratch), report)
    copy_the_rest(source, output)
    return {
        "versions": {
            "llama-cpp-python": llama.version(),
            **{name: version(name) for name in ("transformers", "torch")},
        },
        "samples": len(windows),
        "tokens": sum(map(len, windows)),
        "layers": layers,
        "faults": faults + fallen,
    }


def weigh(
    wide: Path, source: Path, request: dict[str, Any], scratch: Path, report: Report
) -> tuple[list[list[int]], list[Fault]]:
    """Write ``importance.gguf``: for each column of each weight the mean square of what it is multiplied with."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    length = request["tokens"]
    windows = [
        window.ids
        for window in sample_windows(
            tokenizer, request["documents"], request["samples"], length, request["seed"]
        )
    ]
    text = llama.chunks_text(tokenizer, windows, special=True)
    (scratch / "calibration.txt").write_text(text, encoding="utf-8")
    faults: list[Fault] = []

    def heard(piece: str) -> None:
        if found := re.search(r"\[(\d+)\]\S+$", piece):
            done = int(found[1]) / len(windows)
            report(f"sample {found[1]} of {len(windows)}", CONVERTED + (WEIGHED - CONVERTED) * done)
        for name, share in re.findall(r"entry '\s*(\S+)' has partial data \(([\d.]+)%\)", piece):
            faults.append(
                {
                    "kind": "never-routed",
                    "layer": name,
                    "detail": f"{share}% of its experts saw calibration text",
                }
            )

    llama.run_program(
        [
            *(
                "llama-imatrix",
                "--model",
                wide,
                "--file",
                "calibration.txt",
                "--output-file",
                "importance.gguf",
            ),
            *(
                "--ctx-size",
                str(length),
                "--batch-size",
                str(min(length, BATCH)),
                "--chunks",
                str(len(windows)),
            ),
            *("--parse-special", "--threads", str(llama.threads())),
        ],
        heard,
        cwd=scratch,
        end=b",",
    )
    return windows, faults


def quantize(
    wide: Path, output: Path, recipe: dict[str, Any], scratch: Path, report: Report
) -> tuple[int, list[Fault]]:
    """Write the artifact's GGUF. Returns how many tensors were quantized, and those that became something else."""
    kind = recipe["precision"].removeprefix("gguf-").upper()
    weighted = bool(recipe.get("importance_matrix"))
    layers = 0
    faults: dict[str, Fault] = {}

    def heard(line: str) -> None:
        nonlocal layers
        if found := re.match(r"\[\s*(\d+)/\s*(\d+)\]\s+(\S+)", line):
            begun = WEIGHED if weighted else CONVERTED
            report(f"tensor {found[3]}", begun + (1 - begun) * int(found[1]) / int(found[2]))
        layers += "converting to" in line  # after a warning, on a line of its own
        if fault := fault_in(line):
            faults[fault["layer"]] = fault

    importance = ("--imatrix", "importance.gguf") if weighted else ()
    llama.run_program(
        ["llama-quantize", *importance, wide, output / llama.MODEL, kind, str(llama.threads())],
        heard,
        cwd=scratch,
    )
    return layers, list(faults.values())


def fault_in(line: str) -> Fault | None:
    """What llama-quantize says of a tensor that it stores as another type than the recipe's, or without weighing it."""
    if found := FALLBACK.search(line):
        name, columns, block, wanted, got = found.groups()
        return {
            "kind": "unexpected",
            "layer": name,
            "detail": f"stored as {got}, not {wanted}: {columns} columns are no multiple of {block}",
        }
    if (found := re.search(r"did not find weights for (\S+)", line)) and found[1] not in NEVER_WEIGHED:
        return {"kind": "rounded", "layer": found[1], "detail": "the importance matrix has nothing for it"}
    return None


def copy_the_rest(source: Path, output: Path) -> None:
    """Take over the tokenizer and all else that is not weights, byte for byte."""
    for file in source.iterdir():
        if file.is_file() and not file.name.endswith(llama.WEIGHTS) and not (output / file.name).exists():
            shutil.copyfile(file, output / file.name)
