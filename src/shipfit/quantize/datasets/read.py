"""Reads the datasets of a pipeline: finds the sources, takes as much of each as its samples need, keeps it as files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from shipfit.core.progress import Progress
from shipfit.quantize.datasets import places
from shipfit.quantize.datasets.asked import Asked, asked
from shipfit.quantize.datasets.formats import read_rows
from shipfit.quantize.datasets.keep import Kept, documents_of, keep
from shipfit.quantize.datasets.model import Dataset, Document, DocumentFile, Source
from shipfit.quantize.datasets.overlap import Cleaned, without_overlap
from shipfit.quantize.datasets.rows import as_document
from shipfit.spec import Pipeline, blame


def read_datasets(pipeline: Pipeline, progress: Progress) -> tuple[Dataset, Dataset]:
    """Read the text that a pipeline calibrates on, and that its gate measures on.

    From each source come the documents at its beginning, as many as make up 16 bytes for each token that is asked of
    it, or 1 MiB; a text that goes beyond is cut there. The gate's are then cleaned of what is in the calibration text.

    Returns:
        The calibration's, empty where the pipeline has none, and the gate's.

    Raises:
        InputError: a source is not there, is damaged, named twice or holds too little text, or one of its rows is not
            what it must be.
        EnvironmentFailure: a source is out of reach, may not be read, or the disk is full.
    """
    wanted = asked(pipeline)
    calibration = []
    for each in wanted["calibration"]:
        source = _find(pipeline, each, progress)
        kept = keep(_documents(pipeline, each, source))
        _require_enough(pipeline, each, kept, None)
        calibration.append((each, source, kept))
    gate = []
    sources = [_find(pipeline, each, progress) for each in wanted["gate"]]
    held_out = [
        list(_documents(pipeline, each, source)) for each, source in zip(wanted["gate"], sources, strict=True)
    ]
    calibrated_on = (document for *_, kept in calibration for document in documents_of(kept))
    cleaned = without_overlap(held_out, calibrated_on)
    for each, source, after in zip(wanted["gate"], sources, cleaned, strict=True):
        kept = keep(after.documents)
        if after.loss:
            progress.note(f"gate.dataset[{each.number}]: {after.loss}, and left out")
        _require_enough(pipeline, each, kept, after)
        gate.append((each, source, kept))
    return _dataset(calibration, 0), _dataset(gate, sum(each.dropped for each in cleaned))


def _find(pipeline: Pipeline, wanted: Asked, progress: Progress) -> Source:
    progress.update(f"reading {wanted.entry.source}")
    with blame(pipeline, wanted.part, "dataset", wanted.number):
        return places.find(pipeline, wanted.entry, progress)


def _documents(pipeline: Pipeline, wanted: Asked, source: Source) -> Iterator[Document]:
    """As many documents from a source's beginning as its limit allows."""
    left = wanted.limit
    with blame(pipeline, wanted.part, "dataset", wanted.number):
        for name in source.names:
            for where, row in read_rows(source.fetch(name), _shown(source.origin, name), left):
                if document := as_document(row, where):
                    document, size = _shortened(document, left)
                    yield document
                    left -= size
                    if left <= 0:
                        return


def _shown(origin: str, name: str) -> str:
    """What messages call a file: where it lies, and not where it was fetched to."""
    return origin if f"/{origin}".endswith(f"/{name}") else f"{origin.rstrip('/')}/{name}"


def _shortened(document: Document, limit: int) -> tuple[Document, int]:
    """A document with no more text than ``limit`` bytes, and its bytes. A conversation stays whole."""
    if "text" not in document:
        return document, len(json.dumps(document, ensure_ascii=False).encode())
    data = document["text"].encode()
    if len(data) <= limit:
        return document, len(data)
    head = data[:limit]
    line_end = head.rfind(b"\n", limit // 2)
    text = head[: line_end + 1 if line_end >= 0 else limit].decode(errors="ignore")
    return {"text": text}, limit


def _require_enough(pipeline: Pipeline, wanted: Asked, kept: Kept, cleaned: Cleaned | None) -> None:
    """Refuse what is surely too little before any work: no tokenizer makes more tokens of a text than it has bytes."""
    after = f": {cleaned.loss}" if cleaned and cleaned.loss else ""
    if not kept.count:
        message = f"has no text left{after}" if after else f"{wanted.entry.source} is empty"
        raise wanted.refusal(
            pipeline, message, "name text that is not calibrated on" if after else "name one with text"
        )
    # A window begins with a token of its own, and documents are followed by a blank line.
    most = (kept.text_bytes + 2 * kept.count) // max(1, wanted.tokens - 1)
    if not kept.chats and most < wanted.samples:
        raise wanted.refusal(
            pipeline,
            f"is asked for {wanted.samples} samples of {wanted.tokens} tokens, but its text has"
            f" {f'{most} at most' if most else 'none'}{after}",
            "add text, or ask for fewer or shorter samples",
        )


def _dataset(read: Sequence[tuple[Asked, Source, Kept]], dropped: int) -> Dataset:
    content = [[kept.digest, wanted.samples] for wanted, _, kept in read]
    return Dataset(
        documents=tuple(
            DocumentFile(kept.path, wanted.entry.weight, kept.count, source.origin)
            for wanted, source, kept in read
        ),
        digest=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        dropped=dropped,
    )
