"""Datasets: every mistake in them is one line that names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.core.progress import NoProgress
from shipfit.quantize.datasets import Dataset, read_dataset
from shipfit.spec import Pipeline, load

SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: test
source: ./model
recipe:
  precision: gptq-w4a16
calibration:
  dataset: [{source}]
  samples: 2
  tokens: 4
gate:
  dataset: [other.txt]
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))


def read(folder: Path, name: str, content: bytes | None) -> Dataset:
    (folder / "pipeline.yaml").write_text(SPEC.format(source=name))
    if content is not None:
        (folder / name).write_bytes(content)
    return read_dataset(load(folder / "pipeline.yaml", Pipeline), "calibration", NoProgress())


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.txt", b"", "a.txt: is empty"),
        ("a.txt", b" \n\n", "a.txt: is empty"),
        ("a.txt", b"good\nbad \xff\n", "a.txt:2: is not UTF-8 text (byte 0xff)"),
        ("a.jsonl", b'{"text": "x"}\n{"txt": "y"}\n', "a.jsonl:2: has no column text; its columns: txt"),
        ("a.jsonl", b'{"text": "x"}\n\n{oops\n', "a.jsonl:3: is not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: is not a JSON object"),
        ("a.jsonl", b'{"text": 5}\n', "a.jsonl:1: text is not a string but 5"),
        ("a.jsonl", b'{"text": " "}\n', "a.jsonl: is empty"),
        ("a.txt", b"few", "pipeline.yaml:9: calibration.samples: asks for 2 samples of 4 tokens"),
        ("a.txt", None, "pipeline.yaml:8: calibration.dataset[0]: there is no file"),
        ("a.csv", b"text\n", "pipeline.yaml:8: calibration.dataset[0]: 'a.csv' is no kind of text"),
        ("bundled:alice", None, "pipeline.yaml:8: calibration.dataset[0]: no bundled text is called 'alice'"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_place(
    tmp_path: Path, name: str, content: bytes | None, line: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, name, content)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_digest_is_that_of_the_text_alone(tmp_path: Path) -> None:
    first = read(tmp_path, "a.txt", b"water boils at 100 degrees")
    same = read(tmp_path, "b.txt", b"\xef\xbb\xbfwater boils at 100 degrees")
    other = read(tmp_path, "c.txt", b"water boils at 90 degrees")
    assert first.digest == same.digest
    assert first.digest != other.digest


def test_a_worker_reads_a_copy_that_later_edits_do_not_reach(tmp_path: Path) -> None:
    dataset = read(tmp_path, "a.jsonl", b'{"text": "water boils"}\n{"text": "at 100 degrees"}\n')
    (tmp_path / "a.jsonl").write_text("changed")
    assert [text.read_text() for text in dataset.texts] == ["water boils\n\nat 100 degrees"]
