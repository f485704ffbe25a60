"""Every mistake in a dataset is one line that names the place, with the exit code of whose fault it is."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import ipc, parquet

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.quantize.datasets.formats import read_rows
from shipfit.quantize.datasets.rows import as_document

ENTRY = "pipeline.yaml:8: calibration.dataset[0]: "


def parquet_file(**columns: Any) -> Callable[[Path], None]:
    return lambda path: parquet.write_table(pa.table(columns), path)


def arrow_file(**columns: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        table = pa.table(columns)
        with ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)

    return write


def half(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        write(path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])

    return cut


def message(**changed: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Hi", **changed}]}).encode()


WORDS = [f"word {number} and more of it" for number in range(2000)]
FILES: list[tuple[str, bytes | Callable[[Path], None] | None, str]] = [
    ("a.txt", b"", f"{ENTRY}a.txt is empty; name one with text"),
    ("a.txt", b" \n\n", f"{ENTRY}a.txt is empty"),
    ("a.txt", b"\xef\xbb\xbf", f"{ENTRY}a.txt is empty"),
    ("a.txt", b"good\nbad \xff\n", "a.txt:2: is not UTF-8 text (byte 0xff)"),
    ("a.txt", "süß".encode("latin-1"), "a.txt:1: is not UTF-8 text (byte 0xfc)"),
    ("a.txt", "words".encode("utf-16"), "a.txt:1: is not UTF-8 text (byte 0xff)"),
    ("a.txt", b"good\nbad \0\n", "a.txt:2: holds a NUL character"),
    ("a.txt", b"few", f"{ENTRY}is asked for 2 samples of 4 tokens, but its text has 1 at most"),
    ("a.txt", None, f"{ENTRY}there is no file or folder"),
    ("a.csv", b"text\n", f"{ENTRY}'a.csv' is no kind of text that shipfit reads"),
    ("a", b"text\n", f"{ENTRY}'a' is no kind of text that shipfit reads"),
    ("bundled:alice", None, f"{ENTRY}no bundled text is called 'alice'; there are: alice29"),
    ("hf:squad", None, f"{ENTRY}'hf:squad' is no dataset on Hugging Face; write hf:OWNER/NAME"),
    ("ftp://host/a.jsonl", None, f"{ENTRY}'ftp://host' is not the URL of an object store"),
    ("a.jsonl", b"", f"{ENTRY}a.jsonl is empty"),
    ("a.jsonl", b'{"text": " "}\n', f"{ENTRY}a.jsonl is empty"),
    ("a.jsonl", b'{"text": "x"}\n{"txt": "y"}\n', "a.jsonl:2: has no column text, no prompt and completion"),
    ("a.jsonl", b'{"prompt": "x", "answer": "y"}\n', "no messages; its columns: prompt, answer; rename the"),
    (
        "a.jsonl",
        b"{}\n",
        "a.jsonl:1: has no column text, no prompt and completion, no messages; its columns: none",
    ),
    ("a.jsonl", b'{"text": "x"}\n\n{oops\n', "a.jsonl:3: is not JSON"),
    ("a.jsonl", b'{"text": "x"\n', "a.jsonl:1: is not JSON"),
    ("a.jsonl", b"[" * 100_000, "a.jsonl:1: is nested too deeply"),
    ("a.jsonl", b"[1]\n", "a.jsonl:1: is not a JSON object"),
    ("a.jsonl", b"null\n", "a.jsonl:1: is not a JSON object"),
    ("a.jsonl", b'{"text": 5}\n', "a.jsonl:1: text is not a string but 5"),
    ("a.jsonl", b'{"text": null}\n', "a.jsonl:1: text is not a string but null"),
    ("a.jsonl", b'{"text": ["x"]}\n', "a.jsonl:1: text is not a string but ['x']"),
    ("a.jsonl", b'{"text": "x\\u0000"}\n', "a.jsonl:1: text holds a NUL character"),
    ("a.jsonl", b'{"text": "x\\ud800"}\n', "a.jsonl:1: text holds U+D800, half a character"),
    ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', "a.jsonl:2: is not UTF-8 text"),
    ("a.jsonl", b'{"prompt": "x", "completion": 5}\n', "a.jsonl:1: completion is not a string but 5"),
    ("a.jsonl", b'{"messages": "Hi"}\n', "a.jsonl:1: messages is 'Hi', not a list of messages"),
    ("a.jsonl", b'{"messages": []}\n', "a.jsonl:1: messages is [], not a list of messages"),
    ("a.jsonl", b'{"messages": ["Hi"]}\n', "a.jsonl:1: message 1 is 'Hi', not role and content"),
    (
        "a.jsonl",
        b'{"messages": [{"from": "user", "value": "Hi"}]}\n',
        "message 1 has from, value, not role and",
    ),
    ("a.jsonl", message(role="bot"), "message 1 has the role 'bot'; there are: system, developer, user"),
    ("a.jsonl", message(role=["user"]), "message 1 has the role ['user']; there are: system"),
    ("a.jsonl", message(content=None), "a.jsonl:1: content of message 1 is not a string but null"),
    ("a.jsonl", message(content=[{"type": "text"}]), "content of message 1 is not a string but [{'type'"),
    (
        "a.jsonl.gz",
        gzip.compress(b'{"text": "words"}\n' * 9)[:-12],
        "a.jsonl.gz: is damaged: Compressed file ended",
    ),
    ("a.jsonl.gz", b'{"text": "words"}\n', "a.jsonl.gz: is damaged: Not a gzipped file"),
    ("a.jsonl.zst", b'{"text": "words"}\n', "a.jsonl.zst: is damaged: "),
    ("a.parquet", b"", "a.parquet: is no Parquet file, or damaged"),
    ("a.parquet", b"PAR1 and no more of it PAR1", "a.parquet: is "),
    ("a.parquet", half(parquet_file(text=WORDS)), "a.parquet: is no Parquet file, or damaged"),
    (
        "a.parquet",
        parquet_file(body=["x"], id=[1]),
        "a.parquet: has no column text, no prompt and completion",
    ),
    ("a.parquet", parquet_file(text=[1, 2]), "a.parquet: row 1: text is not a string but 1"),
    ("a.parquet", parquet_file(text=["x", None]), "a.parquet: row 2: text is not a string but null"),
    ("a.parquet", parquet_file(text=pa.array([], pa.string())), f"{ENTRY}a.parquet is empty"),
    (
        "a.parquet",
        parquet_file(text=pa.array([b"x", b"\xff"]).cast(pa.string(), safe=False)),
        "a.parquet: is no Parquet file, or damaged: ",
    ),
    (
        "a.parquet",
        parquet_file(messages=[[{"role": "user"}]]),
        "row 1: message 1 has role, not role and content",
    ),
    ("a.arrow", b"", "a.arrow: is no Arrow file, or damaged"),
    ("a.arrow", b"ARROW1\0\0 and no more", "a.arrow: is no Arrow file, or damaged"),
    ("a.arrow", half(arrow_file(text=WORDS)), "a.arrow: is "),
    ("a.arrow", arrow_file(body=["x"]), "a.arrow: has no column text, no prompt and completion, no messages"),
]


@pytest.mark.parametrize(("name", "content", "line"), FILES)
def test_a_mistake_in_a_file_is_one_line_that_names_the_place(
    tmp_path: Path, read: Any, name: str, content: bytes | Callable[[Path], None] | None, line: str
) -> None:
    if callable(content):
        content(tmp_path / name)
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(name)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "entry", "line"),
    [
        ({}, "folder", f"{ENTRY}there is no file or folder"),
        ({"a.csv": b"x"}, "folder", "folder holds no file that can be read, but a.csv; files: .parquet"),
        ({".hidden.txt": b"x"}, "folder", "folder holds no file that can be read"),
        ({"test.jsonl": b"{}"}, "folder", f"{ENTRY}has no split 'train'; there are: test"),
        (
            {"a.jsonl": b"{}"},
            {"source": "folder", "split": "test"},
            f"{ENTRY}has no split 'test'; there are: train",
        ),
        (
            {"en/a.jsonl": b"{}"},
            {"source": "folder", "subset": "de"},
            f"{ENTRY}has no subset 'de'; there are: en",
        ),
        (
            {"a.txt": b"x"},
            {"source": "folder/a.txt", "subset": "en"},
            "is one file, without subsets and splits",
        ),
        (
            {"README.md": b"---\nconfigs: [\n---\n", "a.txt": b"x"},
            "folder",
            "README.md: has damaged metadata",
        ),
        (
            {"dataset_dict.json": b"{", "a.txt": b"x"},
            "folder",
            "dataset_dict.json: is not what datasets writes",
        ),
        (
            {"dataset_dict.json": b'{"splits": ["test"]}'},
            "folder",
            f"{ENTRY}has no split 'train'; there are: test",
        ),
        (
            {"state.json": b'{"_data_files": [{"filename": "a.arrow"}]}', "dataset_info.json": b"{}"},
            "folder",
            "a.arrow: there is no such file",
        ),
    ],
)
def test_a_mistake_in_a_folder_is_one_line(
    tmp_path: Path, read: Any, files: dict[str, bytes], entry: Any, line: str
) -> None:
    for name, content in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(entry)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from(["parquet", "arrow"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_table_that_is_damaged_anywhere_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, damages: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    write = parquet_file if kind == "parquet" else arrow_file
    write(text=[f"word {number} é" for number in range(50)])(path)
    data = bytearray(path.read_bytes())
    for place, value in damages:
        data[int(place * len(data))] = value
    path.write_bytes(data)
    try:
        for where, row in read_rows(path, "damaged", 2**20):
            as_document(row, where)
    except InputError as error:
        assert "\n" not in str(error)


def test_a_source_without_a_share_is_refused(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.txt").write_text("words " * 100)
    with pytest.raises(
        InputError, match=r"dataset\[1\]: gets none of the 2 samples by its weight of 0\.01; give"
    ):
        read("a.txt", {"source": "b.txt", "weight": 0.01})


def test_a_source_that_is_named_twice_is_refused(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.txt").write_text("words " * 100)
    with pytest.raises(
        InputError, match=r"dataset\[1\]: './a.txt' is calibration.dataset\[0\] too; name it once"
    ):
        read("a.txt", "./a.txt")
    with pytest.raises(
        InputError,
        match=r"pipeline.yaml:12: gate.dataset\[0\]: 'a.txt' is calibration.dataset\[0\] too; the gate needs text",
    ):
        read("a.txt", gate="a.txt")


def test_a_line_that_would_fill_memory_is_refused(tmp_path: Path, read: Any) -> None:
    with (tmp_path / "a.jsonl").open("wb") as stream:
        stream.truncate(2**27)  # a sparse file
    with pytest.raises(InputError, match=r"a.jsonl:1: is longer than 64 MiB; write one document a line"):
        read("a.jsonl")


def test_what_the_system_refuses_is_no_mistake_of_the_user(read: Any) -> None:
    with pytest.raises(EnvironmentFailure, match="File name too long while looking for a dataset"):
        read(f"{'a' * 300}.txt")


def test_a_file_that_may_not_be_read_is_no_mistake_of_the_user(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.txt").write_text("words " * 100)
    (tmp_path / "a.txt").chmod(0)
    with (
        as_somebody(tmp_path),
        pytest.raises(EnvironmentFailure, match=r"permission denied while reading a dataset .*a.txt"),
    ):
        read("a.txt")


@contextmanager
def as_somebody(folder: Path) -> Iterator[None]:
    """Not as root, who may read everything."""
    if os.geteuid():
        yield
        return
    folder.chmod(0o777)
    for parent in takewhile(lambda each: each != Path(tempfile.gettempdir()), folder.parents):
        parent.chmod(0o711)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_nothing_is_left_of_a_dataset_that_is_refused(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "x"}\n{oops\n')
    with pytest.raises(InputError):
        read("a.jsonl")
    assert list((tmp_path / "cache" / "documents").iterdir()) == []
