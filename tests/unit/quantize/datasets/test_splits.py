"""Which files hold a split: the layouts that repositories on Hugging Face have."""

from __future__ import annotations

from typing import Any

import pytest

from shipfit.core.errors import InputError
from shipfit.quantize.datasets.splits import choose_files

SHARDS = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
TEST = "data/test-00000-of-00001-0123456789abcdef.parquet"
PLAIN = ["README.md", ".gitattributes", *reversed(SHARDS), TEST]
SUBSETS = [
    "de/train-00000-of-00001.parquet",
    "en/train-00000-of-00001.parquet",
    "en/validation-00000-of-00001.parquet",
]
BY_README = [
    {
        "config_name": "en",
        "data_files": [{"split": "train", "path": "en/*.parquet"}, {"split": "test", "path": ["x.jsonl"]}],
    },
    {"config_name": "de", "data_dir": "de", "data_files": "train-*", "default": True},
    {"config_name": "all", "data_files": {"train": "**/*.parquet"}},
    {"config_name": "folder", "data_dir": "en"},
    {"config_name": "tables", "data_files": ["*.csv"]},
]


@pytest.mark.parametrize(
    ("names", "configs", "subset", "split", "expected"),
    [
        (PLAIN, [], None, "train", SHARDS),
        (PLAIN, [], None, "test", [TEST]),
        (["train.jsonl", "dev.jsonl"], [], None, "validation", ["dev.jsonl"]),
        (["my_train_file.jsonl", "eval.jsonl"], [], None, "train", ["my_train_file.jsonl"]),
        (
            ["train/0.parquet", "train/1.parquet", "x/0.parquet"],
            [],
            None,
            "train",
            ["train/0.parquet", "train/1.parquet"],
        ),
        (
            ["data/train_sft-00000-of-00001.parquet"],
            [],
            None,
            "train_sft",
            ["data/train_sft-00000-of-00001.parquet"],
        ),
        (["b.jsonl", "a.jsonl"], [], None, "train", ["a.jsonl", "b.jsonl"]),
        (["train.jsonl", "train.parquet", "train.txt"], [], None, "train", ["train.parquet"]),
        (["LICENSE.txt", "train.jsonl.gz"], [], None, "train", ["train.jsonl.gz"]),
        (["_cache/train.jsonl", ".x/train.jsonl", "train.csv"], [], None, "train", []),
        (SUBSETS, [], "en", "train", SUBSETS[1:2]),
        (SUBSETS, [], "en", "validation", SUBSETS[2:]),
        (
            ["default/train/0000.parquet", "default/partial-test/0000.parquet"],
            [],
            "default",
            "test",
            ["default/partial-test/0000.parquet"],
        ),
        (SUBSETS, BY_README, None, "train", SUBSETS[:1]),
        (SUBSETS, BY_README, "en", "train", SUBSETS[1:]),
        ([*SUBSETS, "x.jsonl"], BY_README, "en", "test", ["x.jsonl"]),
        (SUBSETS, BY_README, "all", "train", SUBSETS),
        (SUBSETS, BY_README, "folder", "validation", SUBSETS[2:]),
        ([*SUBSETS, "a.csv"], BY_README, "tables", "train", []),
        (["a.txt", "b.txt"], [{"data_files": "b.txt"}], None, "train", ["b.txt"]),
    ],
)
def test_the_files_of_a_split(
    names: list[str], configs: list[dict[str, Any]], subset: str | None, split: str, expected: list[str]
) -> None:
    assert tuple(expected) == choose_files(names, configs, subset, split)


@pytest.mark.parametrize(
    ("names", "configs", "subset", "split", "line"),
    [
        (PLAIN, [], None, "dev", "has no split 'dev'; there are: test, train"),
        (["a.jsonl"], [], None, "dev", "has no split 'dev'; there are: train"),
        (SUBSETS, [], "fr", "train", "has no subset 'fr'; there are: de, en"),
        (["a.jsonl"], [], "fr", "train", "has no subset 'fr'; leave subset out"),
        (SUBSETS, BY_README, "fr", "train", "has no subset 'fr'; there are: en, de, all, folder, tables"),
        (SUBSETS, BY_README, "en", "dev", "has no split 'dev'; there are: train, test"),
        (
            SUBSETS,
            [BY_README[0], BY_README[2]],
            None,
            "train",
            "has several subsets: en, all; name one with subset",
        ),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    names: list[str], configs: list[dict[str, Any]], subset: str | None, split: str, line: str
) -> None:
    with pytest.raises(InputError) as caught:
        choose_files(names, configs, subset, split)
    assert line == str(caught.value)
