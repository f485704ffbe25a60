"""Documents as files of the cache that are named by their content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shipfit.core.errors import from_os_error
from shipfit.core.paths import cache_dir
from shipfit.quantize.datasets.model import Document
from shipfit.quantize.datasets.prune import prune


@dataclass(frozen=True)
class Kept:
    """A file of documents.

    Attributes:
        path: one JSON object a line.
        digest: SHA-256 of it.
        count: documents in it.
        text_bytes: of their ``text``, in UTF-8.
        chats: how many of them are conversations.
    """

    path: Path
    digest: str
    count: int
    text_bytes: int
    chats: int


def keep(documents: Iterable[Document]) -> Kept:
    """Write documents to a file; what iterating them raises comes out, and no file is left.

    Raises:
        EnvironmentFailure: the disk is full or the cache not writable.
    """
    digest = hashlib.sha256()
    count = text_bytes = chats = 0
    folder = cache_dir("documents")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".unfinished-", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                for document in documents:
                    line = json.dumps(document, ensure_ascii=False, sort_keys=True).encode() + b"\n"
                    stream.write(line)
                    digest.update(line)
                    count += 1
                    chats += "text" not in document
                    text_bytes += len(document.get("text", "").encode())
                stream.flush()
                os.fsync(stream.fileno())
                temporary.chmod(0o644)
                path = temporary.replace(folder / f"{digest.hexdigest()}.jsonl")
            finally:
                temporary.unlink(missing_ok=True)
        prune(folder.iterdir())
    except OSError as error:
        raise from_os_error(error, "keeping a dataset") from error
    return Kept(path, digest.hexdigest(), count, text_bytes, chats)


def documents_of(kept: Kept) -> Iterator[Document]:
    """The documents again, one after another."""
    with kept.path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
