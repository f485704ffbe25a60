"""Measures how far a GGUF artifact's next-token distributions are from its source's: both as llama.cpp computes them.

Runs in llama.cpp's environment. Request: ``source``, ``artifact``, ``documents``, ``documents_sha256``, ``samples``,
``tokens``, ``seed``, ``baselines``; see ``shipfit.quantize.gate.measurements``. llama-perplexity runs the source, as a
GGUF of 16 bits, and the artifact on the same windows and writes all logits; those of the source are kept for the next
recipe, those of the artifact are compared as they come. Only the second half of each window counts: of the first,
llama-perplexity writes nothing.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import shipfit_gguf as llama
import shipfit_logits
from distribution import told
from shipfit_baseline import prune
from shipfit_bootstrap import Scored, figures, intervals
from shipfit_samples import Window, sample_windows
from transformers import AutoTokenizer

Report = Callable[[str, float | None], None]

# Shares of the whole time, as seen: the source's conversion, its logits, then the artifact's.
CONVERTED, SOURCE_DONE = 0.2, 0.55

BATCH = 512
"""Tokens in one pass."""


class Texts(NamedTuple):
    """What both models read: the windows, and the same as a file for llama.cpp."""

    windows: Sequence[Window]
    file: Path
    tokens: int


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Compare the artifact with the source on the same text."""
    source, artifact = Path(request["source"]), Path(request["artifact"]) / llama.MODEL
    with llama.source_gguf(
        source, Path(request["baselines"]), lambda text, done: report(text, CONVERTED * done)
    ) as wide:
        report("reading the held-out text", CONVERTED)
        texts = read_texts(source, request, wide.parent)
        logits = source_logits(wide, texts, report)
        prune(Path(request["baselines"]), keep=wide.parent.name)
        try:
            windows = compare(logits, artifact, texts, report)
        except llama.ProgramError as error:
            if error.code == -signal.SIGKILL:  # out of memory: that says nothing of the artifact
                raise
            # It does not load: a tensor is missing, has another shape, or a value that is no number.
            fault = {"kind": "unreadable", "tensor": artifact.name, "detail": str(error)}
            return {"figures": {"structure_faults": 1}, "intervals": {}, "details": {"faults": [fault]}}
    report("computing confidence intervals", None)
    bounds, unit = intervals(windows, request["seed"])
    return {
        "figures": {
            **figures(windows),
            "positions": sum(len(window.divergences) for window in windows),
            "structure_faults": 0,
        },
        "intervals": bounds,
        "details": {
            "text": {key: request[key] for key in ("documents_sha256", "samples", "tokens", "seed")},
            "resampled": unit,
            "windows": [told(window) for window in windows],
            "versions": {"llama-cpp-python": llama.version()},
        },
    }


def read_texts(source: Path, request: dict[str, Any], folder: Path) -> Texts:
    """The held-out windows, written beside the source's GGUF under the name of what determines them."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    sampling = {key: request[key] for key in ("samples", "tokens", "seed")}
    windows = sample_windows(tokenizer, request["documents"], *sampling.values())
    file = folder / f"{'-'.join(map(str, (request['documents_sha256'], *sampling.values())))}.txt"
    unfinished = file.with_suffix(f".{os.getpid()}.unfinished")
    text = llama.chunks_text(tokenizer, [window.ids for window in windows], special=False)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
    return Texts(windows, file, request["tokens"])


def source_logits(wide: Path, texts: Texts, report: Report) -> Path:
    """The source's logits, computed if no earlier run has kept them."""
    path = texts.file.with_suffix(".logits")

    def told(window: int) -> None:
        done = window / len(texts.windows)
        report(
            f"source, window {window} of {len(texts.windows)}", CONVERTED + (SOURCE_DONE - CONVERTED) * done
        )

    with llama.exclusive(path.with_suffix(".lock")):  # two recipes of one source may be measured at once
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            perplexity(wide, texts, unfinished, told)
            unfinished.replace(path)
    return path


def compare(source: Path, artifact: Path, texts: Texts, report: Report) -> list[Scored]:
    """Run the artifact and compare its logits with the source's while it goes on.

    Raises:
        ProgramError: llama.cpp refuses the artifact.
    """

    def told(window: int) -> None:
        done = window / len(texts.windows)
        report(f"window {window} of {len(texts.windows)}", SOURCE_DONE + (1 - SOURCE_DONE) * done)

    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as beside, source.open("rb") as expected, os.fdopen(reading, "rb") as actual:
        scores = beside.submit(shipfit_logits.compare, expected, actual)
        try:
            perplexity(artifact, texts, Path(f"/dev/fd/{writing}"), told, inherit=(writing,))
        finally:
            os.close(writing)  # else the other end waits for more
        documents = [window.document for window in texts.windows]
        return [Scored(document, *each) for document, each in zip(documents, scores.result(), strict=True)]


def perplexity(
    model: Path, texts: Texts, logits: Path, told: Callable[[int], None], inherit: tuple[int, ...] = ()
) -> None:
    """Run a model on the windows and have its logits written; ``told`` gets the number of each window that is done."""

    def heard(line: str) -> None:
        if found := re.match(r"(\d+)\s+[\d.]+\s+[\d.]+\s+[\d.]+$", line):
            told(int(found[1]) // texts.tokens + 1)

    length = str(texts.tokens)
    llama.run_program(
        [
            *("llama-perplexity", "--model", model, "--check-tensors", "--file", texts.file),
            *("--ctx-size", length, "--batch-size", str(min(texts.tokens, BATCH))),
            *("--chunks", str(len(texts.windows)), "--ppl-output-type", "1"),
            *("--save-all-logits", logits, "--threads", str(llama.threads())),
        ],
        heard,
        inherit=inherit,
    )
