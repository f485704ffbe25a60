"""Datasets that are right: the same documents from every format, no more of them than are needed, the same digest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from shipfit.core.errors import InputError
from shipfit.core.progress import NoProgress
from shipfit.quantize.datasets import read_datasets
from shipfit.spec import Pipeline, load
from tests.unit.quantize.datasets.conftest import documents

TEXTS = [f"Document {number} says something of its own." for number in range(5)]
ROWS = [{"id": number, "text": text} for number, text in enumerate(TEXTS)]
CHAT = [
    {"role": "user", "content": "Where does water boil?"},
    {"role": "assistant", "content": "At 100 degrees."},
]


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def write(path: Path) -> None:
    """The rows, in the format that the name says."""
    table = pa.Table.from_pylist(ROWS)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=2)
    elif path.name.endswith("stream.arrow"):
        with ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
    elif path.suffix == ".arrow":
        with ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=2)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(json_lines(ROWS)))
    elif path.suffix == ".zst":
        with pa.output_stream(path, compression="zstd") as stream:
            stream.write(json_lines(ROWS))
    else:
        path.write_bytes(json_lines(ROWS))


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.arrow", "a-stream.arrow", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst"]
)
def test_every_format_gives_the_same_documents_and_digest(tmp_path: Path, read: Any, name: str) -> None:
    write(tmp_path / name)
    write(tmp_path / "plain.jsonl")
    dataset, plain = read(name)[0], read("plain.jsonl")[0]
    assert [[{"text": text} for text in TEXTS]] == documents(dataset)
    assert plain.digest == dataset.digest
    assert 5 == dataset.documents[0].count


def test_marks_and_line_ends_of_windows_do_not_change_the_digest(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.txt").write_bytes("Wasser kocht\nbei 100 °C\n".encode())
    (tmp_path / "b.txt").write_bytes("\ufeffWasser kocht\r\nbei 100 °C\r\n".encode())
    (tmp_path / "c.txt").write_bytes("Wasser kocht\nbei 90 °C\n".encode())
    same, marked, other = (read(f"{name}.txt")[0].digest for name in "abc")
    assert same == marked
    assert same != other


def test_weights_are_part_of_the_digest_by_the_samples_that_they_give(tmp_path: Path, read: Any) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"{name} words " * 30)

    def digest(first: float, second: float) -> str:
        entries = [{"source": "a.txt", "weight": first}, {"source": "b.txt", "weight": second}]
        return str(read(*entries, samples=4)[0].digest)

    assert digest(1, 1) == digest(2, 2)
    assert digest(1, 1) != digest(3, 1)


def test_a_worker_reads_a_copy_that_later_edits_do_not_reach(tmp_path: Path, read: Any) -> None:
    write(tmp_path / "a.jsonl")
    dataset, _ = read("a.jsonl")
    (tmp_path / "a.jsonl").write_text("changed")
    assert [[{"text": text} for text in TEXTS]] == documents(dataset)


@pytest.mark.parametrize(
    ("row", "document"),
    [
        ({"messages": CHAT, "text": "x", "prompt": "y"}, {"messages": CHAT}),
        ({"messages": [{**CHAT[0], "name": None}, CHAT[1]]}, {"messages": CHAT}),
        ({"prompt": "Water?", "completion": "100", "text": "x"}, {"prompt": "Water?", "completion": "100"}),
        ({"prompt": "x", "text": "Water boils at 100 degrees"}, {"text": "Water boils at 100 degrees"}),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_of_several_columns_conversations_come_first(
    tmp_path: Path, read: Any, row: dict[str, Any], document: dict[str, Any], name: str
) -> None:
    if name == "a.parquet":
        parquet.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(json_lines([row]))
    assert [[document]] == documents(read(name)[0])


def test_rows_without_text_are_passed_over(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines([{"text": ""}, ROWS[0], {"text": " \n"}, ROWS[1]]))
    assert [[{"text": TEXTS[0]}, {"text": TEXTS[1]}]] == documents(read("a.jsonl")[0])


def test_no_more_is_read_than_is_needed_and_the_digest_is_of_that_alone(tmp_path: Path, read: Any) -> None:
    rows = [{"text": f"{number} " + "word " * 2000} for number in range(200)]
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines(rows) + b"{what comes then is never read")
    dataset, _ = read("a.jsonl")
    (taken,) = documents(dataset)
    assert 2**20 - 10_002 <= sum(len(each["text"]) for each in taken[:-1]) <= 2**20
    assert 2**20 == sum(len(each["text"]) for each in taken)
    path.write_bytes(json_lines(rows[:150]))
    assert dataset.digest == read("a.jsonl")[0].digest


def test_a_long_text_is_cut_after_a_line(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.txt").write_text("süße Wörter\n" * 100_000 + "never read \0")
    ((document,),) = documents(read("a.txt")[0])
    assert document["text"].endswith("Wörter\n")
    assert 2**20 - 20 < len(document["text"].encode()) <= 2**20


def test_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path, read: Any) -> None:
    for number, name in enumerate(["c.jsonl", "b/a.jsonl", "a.jsonl"]):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(json_lines([ROWS[number]]))
    (tmp_path / "folder" / "notes.csv").write_text("no text")
    assert [[{"text": TEXTS[2]}, {"text": TEXTS[1]}, {"text": TEXTS[0]}]] == documents(read("folder")[0])


@pytest.mark.parametrize("splits", [True, False])
def test_what_datasets_saved_is_read_by_its_own_list_of_files(
    tmp_path: Path, read: Any, splits: bool
) -> None:
    folder = tmp_path / "saved" / "test" if splits else tmp_path / "saved"
    write(folder / "data-00000-of-00001-stream.arrow")
    write(folder / "cache-123.arrow")  # of a map() that was never saved
    (folder / "dataset_info.json").write_text("{}")
    files = [{"filename": "data-00000-of-00001-stream.arrow"}]
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))
    if splits:
        (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    dataset, _ = read({"source": "saved", "split": "test"} if splits else "saved")
    assert [[{"text": text} for text in TEXTS]] == documents(dataset)


def test_the_gate_loses_what_is_calibrated_on_and_says_how_much(tmp_path: Path, read: Any) -> None:
    long = [
        {"text": f"{text} " + " ".join(f"w{number}{place}" for place in range(20))}
        for number, text in enumerate(TEXTS)
    ]
    (tmp_path / "a.jsonl").write_bytes(json_lines(long[:3]))
    (tmp_path / "b.jsonl").write_bytes(json_lines(long[1:]))
    _, gate = read("a.jsonl", gate="b.jsonl")
    assert [long[3:]] == documents(gate)
    assert 2 == gate.dropped
    (tmp_path / "c.jsonl").write_bytes(json_lines(long[:2]))
    with pytest.raises(
        InputError,
        match=r"yaml:12: gate.dataset\[0\]: has no text left: 2 of 2 documents are in the calibration text too; name",
    ):
        read("a.jsonl", gate="c.jsonl")


def test_a_pipeline_that_calibrates_on_nothing_has_an_empty_dataset(tmp_path: Path, read: Any) -> None:
    write(tmp_path / "a.jsonl")
    read("a.jsonl")
    pipeline = load(tmp_path / "pipeline.yaml", Pipeline)
    calibration, gate = read_datasets(pipeline.model_copy(update={"calibration": None}), NoProgress())
    assert () == calibration.documents
    assert 1 == len(gate.documents)
