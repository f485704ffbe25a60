"""Rows of Parquet and Arrow files, a batch at a time, through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.quantize.datasets.rows import columns_read

_BATCH = 256
"""Rows in memory at once."""
_ARROW_FILE = b"ARROW1"
"""How the file format of Arrow begins; its stream format does not (arrow.apache.org/docs/format/Columnar.html)."""


def read(path: Path, kind: str, shown: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a Parquet or Arrow file with the columns that count.

    Raises:
        InputError: it is no such file, damaged, or has none of the columns.
        EnvironmentFailure: pyarrow is not installed.
        OSError: it cannot be read; without an ``errno`` where its content is at fault.
    """
    pa = _pyarrow()
    number = 0
    try:
        for batch in _parquet(path, shown) if kind == "parquet" else _arrow(path, shown):
            # Arrow trusts what a file says of itself: damaged offsets would end this process.
            batch.validate(full=True)
            for row in batch.to_pylist():
                number += 1
                yield f"{shown}: row {number}", row
    except (
        pa.ArrowException,
        UnicodeDecodeError,
        MemoryError,
    ) as error:  # names and lengths may be damaged too
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"is no {kind.capitalize()} file, or damaged: {reason}", where=shown) from error


def decompressed(path: Path) -> IO[bytes]:
    """A zstd file's content as a stream."""
    import io

    stream: IO[bytes] = io.BufferedReader(_pyarrow().input_stream(str(path), compression="zstd"))
    return stream


def _parquet(path: Path, shown: str) -> Iterator[Any]:
    from pyarrow import parquet

    with path.open("rb") as stream, parquet.ParquetFile(stream) as file:
        columns = columns_read(file.schema_arrow.names, shown)
        yield from file.iter_batches(batch_size=_BATCH, columns=list(columns))


def _arrow(path: Path, shown: str) -> Iterator[Any]:
    from pyarrow import ipc

    with path.open("rb") as stream:
        is_file = stream.read(len(_ARROW_FILE)) == _ARROW_FILE
        stream.seek(0)
        reader = ipc.open_file(stream) if is_file else ipc.open_stream(stream)
        columns = list(columns_read(reader.schema.names, shown))
        batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
        for batch in batches:
            chosen = batch.select(columns)
            for start in range(0, chosen.num_rows, _BATCH):
                yield chosen.slice(start, _BATCH)


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise EnvironmentFailure(
            "reading Parquet, Arrow and zstd files needs pyarrow, which is not installed",
            hint="pip install 'shipfit[ray]'",
        ) from error
    return pa
