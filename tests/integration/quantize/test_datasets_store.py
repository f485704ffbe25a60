"""Datasets in object storage, on real SeaweedFS: one file, a prefix, the cache, what goes wrong."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pytest
from obstore.store import S3Store
from pyarrow import parquet

from shipfit.artifacts import weed
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress
from shipfit.quantize.datasets import Dataset, read_datasets
from shipfit.spec import Pipeline, load
from tests.integration.s3 import store_in

pytestmark = pytest.mark.integration

TEXTS = [f"Text {number} and what belongs to it" for number in range(4)]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """A bucket of an own store, which the environment's settings point to; holds a folder of datasets."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch, store_in(folder) as variables:
        for name, value in variables.items():
            patch.setenv(name, value)
        store = S3Store(weed.BUCKET, client_options={"allow_http": True})
        for part in (0, 2):
            content = BytesIO()
            parquet.write_table(pa.table({"text": TEXTS[part : part + 2]}), content)
            obstore.put(store, f"texts/train-0000{part // 2}-of-00002.parquet", content.getvalue())
        obstore.put(store, "texts/test.parquet", b"never read")
        obstore.put(store, "odd/train.jsonl", b'{"body": "x"}\n')
        obstore.put(store, "odd/rows.csv", b"text\n")
        yield store


@pytest.fixture
def read(bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads the calibration text of a pipeline, with a cache of the test's own."""
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))

    def read(url: str) -> Dataset:
        (tmp_path / "gate.txt").write_text("What the gate reads is another text, and long enough.")
        path = tmp_path / "pipeline.yaml"
        sections = [
            f"{part}: {json.dumps({'dataset': [source], 'samples': 1, 'tokens': 8})}"
            for part, source in (("calibration", url), ("gate", "gate.txt"))
        ]
        head = ["apiVersion: shipfit/v1", "kind: Pipeline", "name: test", "source: ./model"]
        path.write_text("\n".join([*head, "recipe: {precision: gptq-w4a16}", *sections]) + "\n")
        return read_datasets(load(path, Pipeline), NoProgress())[0]

    return read


def texts(dataset: Dataset) -> list[str]:
    (file,) = dataset.documents
    return [json.loads(line)["text"] for line in file.path.read_text().splitlines()]


@pytest.mark.parametrize("url", ["s3://shipfit/texts", "s3://shipfit/texts/"])
def test_a_split_below_a_prefix_is_read(read: Any, url: str) -> None:
    assert TEXTS == texts(read(url))


def test_one_object_is_read_and_kept_until_it_changes(bucket: S3Store, read: Any, tmp_path: Path) -> None:
    url = "s3://shipfit/single/rows.jsonl"
    contents = ["Water boils at 100 degrees", "Water boils at 90 degrees up there"]
    for number, content in enumerate(contents, 1):
        obstore.put(bucket, "single/rows.jsonl", json.dumps({"text": content}).encode())
        for _ in range(2):
            assert [content] == texts(read(url))
            assert number == len(list((tmp_path / "cache" / "datasets").glob("*/rows.jsonl")))
        time.sleep(1.1)  # S3 knows when an object was changed to the second


def test_what_is_kept_says_when_it_was_used_last(bucket: S3Store, read: Any, tmp_path: Path) -> None:
    """Else it would be taken for what no pipeline reads any more."""
    obstore.put(bucket, "again/rows.jsonl", json.dumps({"text": TEXTS[0]}).encode())
    read("s3://shipfit/again/rows.jsonl")
    (kept,) = (tmp_path / "cache" / "datasets").glob("*/rows.jsonl")
    os.utime(kept, (0, 0))
    read("s3://shipfit/again/rows.jsonl")
    assert time.time() - kept.stat().st_mtime < 60


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "s3://shipfit/texts/no.parquet",
            "6: calibration.dataset[0]: there is no object s3://shipfit/texts/no.parquet",
        ),
        (
            "s3://shipfit/nothing/",
            "6: calibration.dataset[0]: s3://shipfit/nothing holds no file that can be read, but",
        ),
        ("s3://shipfit/odd/train.jsonl", "s3://shipfit/odd/train.jsonl:1: has no column text"),
        (
            "s3://shipfit/texts/test.parquet",
            "s3://shipfit/texts/test.parquet: is no Parquet file, or damaged",
        ),
        ("s3:///", "6: calibration.dataset[0]: "),
        (
            "http://host/texts/a.jsonl",
            "6: calibration.dataset[0]: 'http://host/texts' is not the URL of an object store",
        ),
    ],
)
def test_what_is_wrong_with_an_object_is_one_line(read: Any, url: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        read(url)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_store_that_refuses_or_does_not_answer_is_the_surroundings(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EnvironmentFailure, match="s3://nobucket/x: there is no such bucket"):
        read("s3://nobucket/x/")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    with pytest.raises(EnvironmentFailure, match="s3://shipfit/texts: no permission") as caught:
        read("s3://shipfit/texts/")
    assert "hush-hush" not in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFailure, match="s3://shipfit/texts"):
        read("s3://shipfit/texts/a.jsonl")
