"""The real hub client against an address of our own: out of reach, offline, a missing repository, a whole one."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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
_HEADER = json.dumps(
    {"a": {"dtype": "BF16", "shape": [50_000_000], "data_offsets": [0, 100_000_000]}}
).encode()
FILES = {
    "config.json": CONFIG,
    "model.safetensors": struct.pack("<Q", len(_HEADER)) + _HEADER,  # its 100 MB are never asked for
}


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for one repository, org/here, and no other."""

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/org/here"):
            files = [{"rfilename": name} for name in FILES]
            self.reply(200, json.dumps({"id": "org/here", "sha": COMMIT, "siblings": files}).encode())
        elif path.startswith("/org/here/resolve/"):
            self.file(path.rsplit("/", 1)[-1])
        else:
            self.reply(401, b"", {"X-Error-Code": "RepoNotFound"})

    def file(self, name: str) -> None:
        if name not in FILES:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        content, status = FILES[name], 200
        if wanted := self.headers.get("Range"):
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            content, status = content[int(begin) : int(end) + 1], 206
        tag = hashlib.sha256(FILES[name]).hexdigest()
        self.reply(status, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def size(model: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shipfit", "size", "--gpu", "L40S", "--precision", "bf16", "--json"]
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
