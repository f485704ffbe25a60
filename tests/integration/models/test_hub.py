"""The real hub client against an address of our own: out of reach, offline, missing and damaged repositories, whole ones."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.hub import Answers, serving

pytestmark = pytest.mark.integration

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = json.dumps(
    {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 1,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "vocab_size": 320,
        "max_position_embeddings": 128,
        "torch_dtype": "bfloat16",
    }
).encode()


def head_of(name: str, elements: int) -> bytes:
    """A file that holds one tensor, without the tensor: that is never asked for."""
    place = {"dtype": "BF16", "shape": [elements], "data_offsets": [0, 2 * elements]}
    header = json.dumps({name: place}).encode()
    return struct.pack("<Q", len(header)) + header


def index_of(*files: str) -> bytes:
    """An index of as many files with one tensor each."""
    return json.dumps({"weight_map": {file: file for file in files}}).encode()


QUANTIZATION = json.dumps({"quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}).encode()
REPOSITORIES = {
    "org/here": {"config.json": CONFIG, "model.safetensors": head_of("a", 50_000_000)},
    "org/terms": {
        "config.json": CONFIG,
        "model.safetensors": b"weights",
        "README.md": b"---\nlicense: other\n---\n# A model",
        "LICENSE": b"You may ...",
        "NOTICE": b"Made by ...",
        "USE_POLICY.md": b"You may not ...",
        "pytorch_model.bin": b"the same weights",
    },
    "org/shards": {
        "config.json": CONFIG,
        "hf_quant_config.json": QUANTIZATION,
        "model.safetensors.index.json": index_of("one.safetensors", "two.safetensors"),
        "one.safetensors": head_of("a", 50_000_000),
        "two.safetensors": head_of("b", 50_000_000),
    },
    "org/gap": {
        "config.json": CONFIG,
        "model.safetensors.index.json": index_of("one.safetensors", "two.safetensors"),
        "one.safetensors": head_of("a", 50_000_000),
    },
    "org/damaged": {"config.json": CONFIG, "model.safetensors": struct.pack("<Q", 9) + b"no header"},
    "org/bare": {"README.md": b"no model"},
}


class Hub(Answers):
    """Answers as the hub does for those repositories, and no other."""

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        for name, files in REPOSITORIES.items():
            if path.startswith(f"/api/models/{name}/tree/"):
                tree = [
                    {"type": "file", "path": each, "size": len(content), "oid": COMMIT}
                    for each, content in files.items()
                ]
                self.reply(200, json.dumps(tree).encode())
                return
            if path.startswith(f"/api/models/{name}"):
                listed = [{"rfilename": each} for each in files]
                self.reply(200, json.dumps({"id": name, "sha": COMMIT, "siblings": listed}).encode())
                return
            if path.startswith(f"/{name}/resolve/"):
                self.file(files, path.rsplit("/", 1)[-1])
                return
        self.reply(401, b"", {"X-Error-Code": "RepoNotFound"})

    def file(self, files: dict[str, bytes], name: str) -> None:
        if name not in files:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        content, status = files[name], 200
        if wanted := self.headers.get("Range"):
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            content, status = content[int(begin) : int(end) + 1], 206
        tag = hashlib.sha256(files[name]).hexdigest()
        self.reply(status, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with serving(Hub) as address:
        yield address


def run(hub: str, cache: Path, code: str) -> subprocess.CompletedProcess[str]:
    """A program that fetches from the hub into an empty cache."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "", "HF_ENDPOINT": hub},
        capture_output=True,
        text=True,
        timeout=60,
    )


def size(
    model: str, cache: Path, precision: str = "bf16", **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shipfit", "size", "--gpu", "L40S", "--precision", precision, "--json"]
    return subprocess.run(
        [*command, "--model", model],
        env={**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_repository_is_sized_by_its_headers_and_then_without_the_network(hub: str, tmp_path: Path) -> None:
    done = size("org/here", tmp_path, HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["weights_gib"] == pytest.approx(100_000_000 / 2**30, rel=0.01)
    cached = size("org/here", tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert cached.returncode == 0, cached.stderr


def test_what_is_cached_is_enough_while_the_hub_is_out_of_reach(hub: str, tmp_path: Path) -> None:
    assert size("org/here", tmp_path, HF_ENDPOINT=hub).returncode == 0
    begun = time.monotonic()
    done = size("org/here", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < 20


def test_every_shard_is_asked_for_its_header_and_again_from_the_same_cache(hub: str, tmp_path: Path) -> None:
    for _ in range(2):  # the second time the index is in the cache, and the shards are not
        done = size("org/shards", tmp_path, "fp8-w8a8", HF_ENDPOINT=hub)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["weights_gib"] == pytest.approx(200_000_000 / 2**30, rel=0.01)
        assert "Parse" not in done.stderr  # the hub client's own bar


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("org/gap", "model org/gap lacks two.safetensors"),
        ("org/damaged", "model org/damaged has a damaged safetensors header"),
        ("org/bare", "model org/bare lacks config.json"),
    ],
)
def test_what_is_wrong_with_a_repository_is_one_line(
    hub: str, model: str, words: str, tmp_path: Path
) -> None:
    done = size(model, tmp_path, HF_ENDPOINT=hub)
    assert (2, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert words in done.stderr


def test_a_repository_comes_with_its_terms_and_without_a_second_copy_of_the_weights(
    hub: str, tmp_path: Path
) -> None:
    code = (
        "from shipfit.core.progress import JsonProgress\n"
        "from shipfit.models import folder\n"
        "from shipfit.quantize.provenance import licence_of\n"
        f"found = folder('org/terms', None, {COMMIT!r}, JsonProgress())\n"
        "print(licence_of(found), *sorted(path.name for path in found.iterdir()))"
    )
    done = run(hub, tmp_path, code)
    expected = "see LICENSE LICENSE NOTICE README.md USE_POLICY.md config.json model.safetensors"
    assert (0, expected) == (done.returncode, done.stdout.strip()), done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]  # and nobody draws bars between
    assert 1.0 == max(each.get("fraction") or 0 for each in told)


def test_a_repository_that_the_disk_has_no_room_for_is_refused_before_it_comes(
    hub: str, tmp_path: Path
) -> None:
    code = (
        "import shutil\n"
        "from shipfit.core.progress import NoProgress\n"
        "from shipfit.models import folder\n"
        "usage = shutil.disk_usage('/')._replace(free=10)\n"
        "shutil.disk_usage = lambda path: usage\n"
        f"folder('org/terms', None, {COMMIT!r}, NoProgress())"
    )
    done = run(hub, tmp_path, code)
    assert "org/terms takes about 0.0 GiB, and 0.0 are free in" in done.stderr
    assert [] == list(tmp_path.rglob("*.safetensors"))


def test_a_repository_that_is_not_there_is_the_users_mistake(hub: str, tmp_path: Path) -> None:
    done = size("org/nowhere", tmp_path, HF_ENDPOINT=hub)
    assert (2, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert "model org/nowhere is not on Hugging Face; check the spelling" in done.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "and Hugging Face is out of reach; check the network"),
        ({"HF_HUB_OFFLINE": "1"}, "and HF_HUB_OFFLINE is set; unset it"),
    ],
)
def test_out_of_reach_is_one_line_and_soon(environment: dict[str, str], words: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    done = size("org/here", tmp_path, **environment)
    assert (3, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert words in done.stderr
    assert time.monotonic() - begun < 20
