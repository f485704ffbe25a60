"""An object store that is killed by -9 while a pipeline works with it, and comes back."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest

from shipfit.artifacts import open_store, weed
from shipfit.artifacts.address import objects_at
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import NoProgress
from shipfit.environments import ensure
from shipfit.models import bundled
from tests.integration.s3 import variables

pytestmark = pytest.mark.integration

QUIET = NoProgress()
STORE = f"s3://{weed.BUCKET}/fleet"
PIPELINE = f"""\
apiVersion: shipfit/v1
kind: Pipeline
name: lost
source: bundled:gemma-3-270m
recipe: {{precision: bf16, engine: passthrough}} # made in no time, and of half a gigabyte
gate:
  dataset: [bundled:alice29]
  samples: 4
  tokens: 32
  generation: null
store: {STORE}
"""


@dataclass
class Server:
    """A SeaweedFS of this test's own, where its killed predecessor was."""

    folder: Path
    ports: dict[str, int]
    process: Popen[bytes] | None = None

    def start(self) -> None:
        program = ensure("seaweedfs").program("weed")
        with (self.folder / "log").open("ab") as log:
            self.process = Popen(
                weed.arguments(program, self.folder, self.ports), cwd=self.folder, stdout=log, stderr=log
            )

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            weed.remove_leftovers(self.folder, self.ports)


@pytest.fixture
def server(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A store that the environment's settings name."""
    folder = own_folders / "server"
    (folder / "objects").mkdir(parents=True)
    made = Server(folder, weed.free_ports())
    for name, value in variables(folder, made.ports["s3"]).items():
        monkeypatch.setenv(name, value)
    made.start()
    wait_until_it_has_objects()
    yield made
    made.kill()


def wait_until_it_has_objects() -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            objects_at(STORE).write("probe", b"content", "probing")
            objects_at(STORE).read("probe", "probing")
        except EnvironmentFailure:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@contextmanager
def quantizing(spec: Path) -> Iterator[Popen[str]]:
    """The command at work, ended with the block at the latest."""
    command = [sys.executable, "-m", "shipfit", "quantize", str(spec), "--json", "--progress", "json"]
    with Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def told(run: Popen[str], until: str) -> list[str]:
    """What the run says of its progress, up to what begins so."""
    assert run.stderr
    heard = []
    for line in run.stderr:
        heard.append(json.loads(line)["text"] if line.startswith("{") else line)
        if heard[-1].startswith(until):
            return heard
    pytest.fail(f"ended without {until!r}: {heard}")


def test_a_store_killed_in_an_upload_and_again_in_the_gate_costs_nothing_that_was_made(
    server: Server, own_folders: Path
) -> None:
    spec = own_folders / "lost.yaml"
    spec.write_text(PIPELINE)
    gone = f"{STORE}: the store cannot be reached, or stopped answering, while"
    with quantizing(spec) as run:
        told(run, "uploading lost: ")
        server.kill()
        heard = told(run, f"{gone} uploading lost; try 2")
        server.start()
        heard += told(run, "reading the headers")
        assert not [text for text in heard if text.startswith("copying")]  # the upload alone was tried again
        server.kill()
        told(run, f"{gone} keeping the structure of lost; try 2")
        server.start()
        output, errors = run.communicate(timeout=300)
    assert 0 == run.returncode, errors
    assert {"quantize", "structure", "distribution", "publish", "promote"} == json.loads(output)[
        "seconds"
    ].keys()
    check_published()


def test_a_store_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    server: Server, own_folders: Path
) -> None:
    spec = own_folders / "lost.yaml"
    spec.write_text(PIPELINE)
    with quantizing(spec) as run:
        told(run, "reading the headers")
        server.kill()
        _, errors = run.communicate(timeout=300)
        (line,) = [line for line in errors.splitlines() if not line.startswith("{")]
    assert 3 == run.returncode
    assert line.startswith(
        f"shipfit: {STORE}: the store cannot be reached, or stopped answering, while keeping"
    )

    server.start()
    wait_until_it_has_objects()
    with open_store(STORE, QUIET) as store:
        assert [] == store.names()
        assert [] == store.channels("lost")
    with quantizing(spec) as again:
        output, errors = again.communicate(timeout=300)
    assert 0 == again.returncode, errors
    assert "quantized by an earlier run" in errors
    assert {"structure", "distribution", "publish", "promote"} == json.loads(output)["seconds"].keys()
    check_published()


def check_published() -> None:
    """What is published is whole, and what the source is."""
    with open_store(STORE, QUIET) as store:
        manifest = store.verify("lost", store.resolve("lost", "stable"), QUIET)
    weights = bundled.folder("gemma-3-270m", QUIET) / "model.safetensors"
    assert {hashlib.sha256(weights.read_bytes()).hexdigest()} == {
        each.sha256 for each in manifest.files if each.path == weights.name
    }
