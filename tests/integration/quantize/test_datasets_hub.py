"""Datasets through the real hub client against an address of our own: layouts, revisions, cache, what goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.integration.hub import Answers, serving

pytestmark = pytest.mark.integration

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "89abcdef0123456789abcdef0123456789abcdef"


def table(*texts: str) -> bytes:
    """A Parquet file with those texts, each long enough for a sample."""
    content = BytesIO()
    parquet.write_table(
        pa.table({"text": [f"{text} and what else belongs to it" for text in texts]}), content
    )
    return content.getvalue()


CONFIGS = "---\nconfigs:\n- config_name: en\n  data_files: en/*.parquet\n- config_name: de\n  data_files: de/*.parquet\n---\n"
LONG = "word " * 250_000
REVISIONS: dict[str, dict[str, tuple[str, dict[str, bytes]]]] = {
    "org/shards": {
        "main": (
            COMMIT,
            {
                "README.md": b"# Shards",
                "data/train-00000-of-00002.parquet": table("first", LONG),
                "data/train-00001-of-00002.parquet": b"never asked for",
                "data/test-00000-of-00001.parquet": table("tested"),
            },
        ),
        "v2": (NEWER, {"data/train-00000-of-00001.parquet": table("newer")}),
    },
    "org/subsets": {
        "main": (
            COMMIT,
            {
                "README.md": CONFIGS.encode(),
                "en/0.parquet": table("English"),
                "de/0.parquet": table("German"),
            },
        )
    },
    "org/tables": {
        "main": (COMMIT, {"data.csv": b"text\n"}),
        "refs/convert/parquet": (NEWER, {"default/train/0000.parquet": table("converted")}),
    },
    "org/pictures": {"main": (COMMIT, {"README.md": b"# Pictures", "a.png": b"x"})},
    "org/columns": {"main": (COMMIT, {"train.jsonl": b'{"question": "x", "answer": "y"}\n'})},
    "org/broken": {"main": (COMMIT, {"train.parquet": table("whole")[:-40]})},
}


class Hub(Answers):
    """Answers as the hub does for those repositories, and no other; keeps the paths of the files asked for."""

    asked: ClassVar[list[str]] = []

    def answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        for name, revisions in REVISIONS.items():
            if path in (f"/api/datasets/{name}", f"/api/datasets/{name}/revision/main"):
                self.info(name, "main")
                return
            if path.startswith(f"/api/datasets/{name}/revision/"):
                self.info(name, path.partition("/revision/")[2])
                return
            if path.startswith(f"/datasets/{name}/resolve/"):
                rest = path.partition("/resolve/")[2]
                revision = next((each for each in revisions if rest.startswith(f"{each}/")), "")
                self.file(revisions.get(revision, ("", {})), rest.removeprefix(f"{revision}/"))
                return
        self.reply(401, b"", {"X-Error-Code": "RepoNotFound"})

    def info(self, name: str, revision: str) -> None:
        if revision not in REVISIONS[name]:
            self.reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
            return
        commit, files = REVISIONS[name][revision]
        siblings = [{"rfilename": each} for each in files]
        self.reply(200, json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode())

    def file(self, revision: tuple[str, dict[str, bytes]], name: str) -> None:
        commit, files = revision
        if name not in files:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        self.asked.append(name)
        tag = hashlib.sha256(files[name]).hexdigest()
        self.reply(200, files[name], {"ETag": f'"{tag}"', "X-Repo-Commit": commit})


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with serving(Hub) as address:
        yield address


# The hub client reads its settings when it is imported: a process of its own for each test.
_READ = """
import json, sys
from pathlib import Path
from shipfit.core.errors import ShipfitError
from shipfit.core.progress import NoProgress
from shipfit.quantize.datasets import read_datasets
from shipfit.spec import Pipeline, load
try:
    dataset, _ = read_datasets(load(Path(sys.argv[1]), Pipeline), NoProgress())
except ShipfitError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
(file,) = dataset.documents
texts = [json.loads(line)["text"].split()[0] for line in file.path.read_text().splitlines()]
print(json.dumps({"texts": texts, "origin": file.origin, "digest": dataset.digest}))
"""


def read(folder: Path, entry: str | dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "gate.txt").write_text("What the gate reads is another text, and long enough.")
    pipeline = folder / "pipeline.yaml"
    sections = [
        f"calibration: {json.dumps({'dataset': [entry], 'samples': 1, 'tokens': 8})}",
        f"gate: {json.dumps({'dataset': ['gate.txt'], 'samples': 1, 'tokens': 8})}",
    ]
    head = ["apiVersion: shipfit/v1", "kind: Pipeline", "name: test", "source: ./model"]
    pipeline.write_text("\n".join([*head, "recipe: {precision: gptq-w4a16}", *sections]) + "\n")
    cache = {"HF_HOME": str(folder / "hub"), "SHIPFIT_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-c", _READ, pipeline],
        env={**os.environ, **cache, "HF_HUB_OFFLINE": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("entry", "texts", "origin"),
    [
        ("hf:org/shards", ["first", "word"], f"hf:org/shards@{COMMIT}"),
        ({"source": "hf:org/shards", "split": "test"}, ["tested"], f"hf:org/shards@{COMMIT}"),
        ("hf:org/shards@v2", ["newer"], f"hf:org/shards@{NEWER}"),
        ({"source": "hf:org/subsets", "subset": "de"}, ["German"], f"hf:org/subsets@{COMMIT}"),
        ("hf:org/tables", ["converted"], f"hf:org/tables@{NEWER}"),
    ],
)
def test_a_split_is_read_of_one_commit_and_no_other_file_is_fetched(
    hub: str, tmp_path: Path, entry: Any, texts: list[str], origin: str
) -> None:
    Hub.asked.clear()
    done = read(tmp_path, entry, HF_ENDPOINT=hub)
    assert (0, "") == (done.returncode, done.stderr)
    found = json.loads(done.stdout)
    assert (texts, origin) == (found["texts"], found["origin"])
    assert not [
        name for name in Hub.asked if "00001-of-00002" in name or (texts != ["tested"] and "test-" in name)
    ]


@pytest.mark.parametrize("entry", ["hf:org/shards", "hf:org/tables"])
def test_what_was_read_once_is_read_again_without_the_network(hub: str, tmp_path: Path, entry: str) -> None:
    found = read(tmp_path, entry, HF_ENDPOINT=hub)
    for elsewhere in ({"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        again = read(tmp_path, entry, **elsewhere)
        assert (0, found.stdout) == (again.returncode, again.stdout), again.stderr


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("hf:org/nowhere", "dataset org/nowhere is not on Hugging Face; check the spelling"),
        ("hf:org/shards@v3", "dataset org/shards has no revision v3; name a branch, tag or commit"),
        ({"source": "hf:org/shards", "split": "dev"}, "has no split 'dev'; there are: test, train"),
        ("hf:org/subsets", "has several subsets: en, de; name one with subset"),
        ({"source": "hf:org/subsets", "subset": "fr"}, "has no subset 'fr'; there are: en, de"),
        (
            "hf:org/pictures",
            "dataset org/pictures holds no file that can be read, but README.md, a.png; files:",
        ),
    ],
)
def test_what_is_not_there_is_a_mistake_in_the_pipeline(
    hub: str, tmp_path: Path, entry: Any, line: str
) -> None:
    done = read(tmp_path, entry, HF_ENDPOINT=hub)
    assert (2, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert f"pipeline.yaml:6: calibration.dataset[0]: {line}" in done.stderr


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            "hf:org/columns",
            f"hf:org/columns@{COMMIT}/train.jsonl:1: has no column text, no prompt and completion",
        ),
        ("hf:org/broken", f"hf:org/broken@{COMMIT}/train.parquet: is no Parquet file, or damaged"),
    ],
)
def test_a_file_that_is_wrong_is_named_by_its_commit(hub: str, tmp_path: Path, entry: Any, line: str) -> None:
    done = read(tmp_path, entry, HF_ENDPOINT=hub)
    assert (2, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert done.stderr.startswith(line)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"HF_ENDPOINT": "http://127.0.0.1:9"},
            "and Hugging Face is out of reach; check the network, or name a folder",
        ),
        ({"HF_HUB_OFFLINE": "1"}, "and HF_HUB_OFFLINE is set; unset it, or name a folder with the dataset"),
    ],
)
def test_out_of_reach_is_one_line(environment: dict[str, str], line: str, tmp_path: Path) -> None:
    done = read(tmp_path, "hf:org/shards", **environment)
    assert (3, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert f"dataset org/shards is not in the local cache {line}" in done.stderr
