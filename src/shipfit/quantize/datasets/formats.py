"""Rows of text and JSON Lines files, as they are or compressed (``.gz``, ``.zst``); tables are next door."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from shipfit.core.errors import InputError, from_os_error
from shipfit.quantize.datasets import tables

_KINDS = {".parquet": "parquet", ".arrow": "arrow", ".jsonl": "jsonl", ".txt": "text"}
KINDS = tuple(_KINDS.values())
"""Kinds of files, the one that is preferred where there are several first."""
READABLE = f"{', '.join(_KINDS)} (.jsonl and .txt also with .gz or .zst)"
"""What can be read, for messages."""
_COMPRESSED = (".gz", ".zst")
_LONGEST_LINE = 64 * 2**20
"""Bytes of a line of JSON Lines: more is one document a file, not one a line, and would fill memory."""
_LONGEST_CHARACTER = 4  # bytes, in UTF-8

Row = tuple[str, Any]
"""Where it stands, as ``file:line``, and its value."""


def kind_of(name: str) -> str | None:
    """Which kind of file a name says it is; None for one that cannot be read."""
    path = PurePosixPath(name)
    if path.suffix in _COMPRESSED and PurePosixPath(path.stem).suffix in (".jsonl", ".txt"):
        path = PurePosixPath(path.stem)
    return _KINDS.get(path.suffix)


def read_rows(path: Path, shown: str, limit: int) -> Iterator[Row]:
    """The rows of a file, one after another.

    Args:
        path: the file on this machine; its name says what kind it is.
        shown: what messages call it.
        limit: bytes after which no more of a text file is read.

    Raises:
        InputError: it is not what its name says, or damaged; names the line.
        EnvironmentFailure: it cannot be read.
    """
    kind = kind_of(path.name)
    with _explained(shown):
        if kind in ("parquet", "arrow"):
            yield from tables.read(path, kind, shown)
            return
        with _opened(path) as stream:
            if kind == "jsonl":
                yield from _json_lines(stream, shown)
            else:
                yield shown, {"text": _text(stream, shown, limit)}


@contextmanager
def _explained(shown: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError("there is no such file", hint="mend the path", where=shown) from None
    except OSError as error:
        if error.errno is None:  # what gzip and Arrow raise about a file's content
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"is damaged: {reason}", hint="make it again", where=shown) from error
        raise from_os_error(error, "reading a dataset") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"is damaged: {error}", hint="make it again", where=shown) from error


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if path.suffix == ".zst":
        return tables.decompressed(path)
    return path.open("rb")


def _text(stream: IO[bytes], shown: str, limit: int) -> str:
    """The text of a file, or a little more of it than ``limit`` bytes, with lines that end in a line feed alone."""
    enough = limit + _LONGEST_CHARACTER
    data = stream.read(enough)
    text = _decode(data, shown, 1, whole=len(data) < enough)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError("holds a NUL character, so it is no text", where=f"{shown}:{line}")
    return text.replace("\r\n", "\n")


def _json_lines(stream: IO[bytes], shown: str) -> Iterator[Row]:
    number = 0
    while line := stream.readline(_LONGEST_LINE + 1):
        number += 1
        where = f"{shown}:{number}"
        if len(line) > _LONGEST_LINE:
            raise InputError(
                f"is longer than {_LONGEST_LINE // 2**20} MiB", hint="write one document a line", where=where
            )
        text = _decode(line, shown, number, whole=True)
        if not text.strip():
            continue
        try:
            yield where, json.loads(text)
        except RecursionError:
            raise InputError(
                "is nested too deeply", hint="write one JSON object a line", where=where
            ) from None
        except ValueError as error:
            raise InputError(
                f"is not JSON: {error}", hint="write one JSON object a line", where=where
            ) from None


def _decode(data: bytes, shown: str, line: int, *, whole: bool) -> str:
    """UTF-8 of which ``line`` is the number of the first line; a part of a file may end within a character."""
    if line == 1:
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        raise InputError(
            f"is not UTF-8 text (byte 0x{data[error.start]:02x})",
            hint="save the file as UTF-8",
            where=f"{shown}:{line}",
        ) from None
