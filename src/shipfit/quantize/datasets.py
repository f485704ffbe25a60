"""Datasets: what ``calibration.dataset`` and ``gate.dataset`` name, checked and turned into text files.

| source | text |
|---|---|
| ``bundled:NAME`` | one of the texts that shipfit brings |
| ``FILE.txt`` | the file, UTF-8 |
| ``FILE.jsonl`` | the ``text`` of every line, joined by blank lines |
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shipfit.core.errors import InputError, from_os_error
from shipfit.core.paths import cache_dir, write_atomically
from shipfit.core.progress import Progress
from shipfit.quantize.texts import BUNDLED_TEXTS, bundled_text
from shipfit.spec import Calibration, Gate, Pipeline, locate

Part = Literal["calibration", "gate"]


@dataclass(frozen=True)
class Dataset:
    """Text, ready to be read by a worker.

    Attributes:
        texts: UTF-8 files, one a source; copies, which stay as they are while the user edits the originals.
        digest: SHA-256 over the contents, in order.
    """

    texts: tuple[Path, ...]
    digest: str


def read_dataset(pipeline: Pipeline, part: Part, progress: Progress) -> Dataset:
    """Read the sources of one part of a pipeline.

    Raises:
        InputError: a source is not there, empty, not UTF-8, has no ``text`` column, or all together are too short
            for the samples that the spec asks for.
        EnvironmentFailure: the bundled texts cannot be fetched.
    """
    section: Calibration | Gate = getattr(pipeline, part)
    contents = [
        _read_source(pipeline, part, number, source, progress)
        for number, source in enumerate(section.dataset)
    ]
    # No tokenizer makes more tokens than bytes; how many it really makes, the worker sees.
    if sum(map(len, contents)) < section.samples * (section.tokens - 1):
        raise too_little_text(pipeline, part, sum(map(len, contents)) // max(1, section.tokens - 1))
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    return Dataset(
        texts=tuple(_keep(content, digest) for content, digest in zip(contents, digests, strict=True)),
        digest=hashlib.sha256(json.dumps(digests).encode()).hexdigest(),
    )


def too_little_text(pipeline: Pipeline, part: Part, available: int) -> InputError:
    """The error for a dataset that yields only ``available`` samples, or fewer."""
    section: Calibration | Gate = getattr(pipeline, part)
    return InputError(
        f"asks for {section.samples} samples of {section.tokens} tokens, but the text of {part}.dataset has"
        f" {available or 'none'}{' at most' if available else ''}",
        hint="add text, or ask for fewer or shorter samples",
        where=locate(pipeline, part, "samples"),
        field=f"{part}.samples",
    )


def _read_source(pipeline: Pipeline, part: Part, number: int, source: str, progress: Progress) -> bytes:
    where, field = locate(pipeline, part, "dataset", number), f"{part}.dataset[{number}]"
    scheme, colon, name = source.partition(":")
    if colon and scheme == "bundled":
        if name not in BUNDLED_TEXTS:
            raise InputError(
                f"no bundled text is called {name!r}",
                hint=f"there are: {', '.join(BUNDLED_TEXTS)}",
                where=where,
                field=field,
            )
        return bundled_text(name, progress).read_bytes()
    path = pipeline.resolve(source)
    if path.suffix not in (".txt", ".jsonl"):
        raise InputError(
            f"{source!r} is no kind of text that shipfit reads",
            hint="name a .txt or .jsonl file, or bundled:NAME",
            where=where,
            field=field,
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", hint="mend the path", where=where, field=field) from None
    except OSError as error:
        raise from_os_error(error, f"reading {field}") from error
    return read_jsonl(data, str(path)) if path.suffix == ".jsonl" else read_text(data, str(path))


def read_text(data: bytes, name: str) -> bytes:
    """A text file's content, checked.

    Raises:
        InputError: it is empty or not UTF-8; names the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"is not UTF-8 text (byte 0x{data[error.start]:02x})",
            hint="save the file as UTF-8",
            where=f"{name}:{line}",
        ) from None
    if not text.strip():
        raise InputError("is empty", hint="name a file with text", where=name)
    return text.encode()


def read_jsonl(data: bytes, name: str) -> bytes:
    """The ``text`` of every line of a JSON Lines file, joined by blank lines.

    Raises:
        InputError: it is empty, not UTF-8, or a line is no JSON object with a string ``text``; names the line.
    """
    rows = read_text(data, name).decode().split("\n")
    texts = [_read_row(row, f"{name}:{number}") for number, row in enumerate(rows, 1) if row.strip()]
    return read_text("\n\n".join(texts).encode(), name)


def _read_row(row: str, where: str) -> str:
    try:
        value = json.loads(row)
    except ValueError as error:
        raise InputError(f"is not JSON: {error}", hint="write one JSON object a line", where=where) from None
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", hint='write {"text": "..."}', where=where)
    if "text" not in value:
        known = ", ".join(map(str, value)) or "none"
        raise InputError(
            f"has no column text; its columns: {known}",
            hint="name the column with the text text",
            where=where,
        )
    if not isinstance(value["text"], str):
        raise InputError(f"text is not a string but {json.dumps(value['text'])[:40]}", where=where)
    return value["text"]


def _keep(content: bytes, digest: str) -> Path:
    path = cache_dir("texts") / f"{digest}.txt"
    if not path.exists():
        write_atomically(path, content)
    return path
