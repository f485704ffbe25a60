"""Publish and pull on the embedded store, as ratios to the bare obstore client copying the same bytes in the same run.

The bare client neither hashes nor verifies nor commits; it has as many files in flight as shipfit. It gets twice: as
it comes, and in chunks of 1 MiB, since which of them is quicker depends on the size and the machine. Each step begins
with nothing in memory of what was written before: what the page cache holds by chance would decide. Best of the
rounds. Goal: at least 0.9 of its speed, both ways, as one file and as shards, in memory that does not grow with the
artifact (the most of any round is shown; Linux tells it). Publish and pull hash, and where the bare client leaves
nothing of the processors, neither can take less of them than it does and one sha256 over the same bytes: "at most"
shows it. On a machine that does other work meanwhile, the ratio of processor time, ours and the server's together,
says more than that of speed. The disk must hold the artifact three times, and twice more for every round.

    python benchmarks/artifacts.py [--mib 512] [--rounds 3]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

if TYPE_CHECKING:
    from shipfit.artifacts import ManifestDraft, Store

MIB = 2**20
SHAPES = {"1 file": 1, "8 shards": 8}
STEPS = ("put", "publish", "get", "get by 1 MiB", "pull", "verify again", "sha256")
"""What a round does, in order."""


def main() -> None:
    """Measure in folders of its own, with the environments that are there."""
    parser = argparse.ArgumentParser(description="Publish and pull against the bare client.")
    parser.add_argument("--mib", type=int, default=512, help="size of the artifact")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True, dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        for variable in ("STATE", "DATA"):
            os.environ[f"SHIPFIT_{variable}_DIR"] = str(folder / variable.lower())
        from shipfit.core.paths import cache_dir

        environments = cache_dir("envs")
        os.environ["SHIPFIT_CACHE_DIR"] = str(folder / "cache")
        (folder / "cache").mkdir()
        (folder / "cache" / "envs").symlink_to(environments)
        for shape, files in SHAPES.items():
            measure(folder, shape, files, arguments.mib, arguments.rounds)
            wait_for_the_end()
            shutil.rmtree(folder / "data")


def measure(folder: Path, shape: str, files: int, mib: int, rounds: int) -> None:
    """Print throughput and the two ratios of one shape."""
    from shipfit.artifacts import fingerprint, open_store, running
    from shipfit.core.progress import NoProgress

    model = folder / "model"
    model.mkdir()
    for number in range(files):
        write_random(model / f"model-{number}.safetensors", mib * MIB // files)
    quiet = NoProgress()
    taken: dict[str, list[Taken]] = {what: [] for what in STEPS}
    with open_store(None, quiet) as store:
        found = running.read()
        server = found.server.process() if found else None
        assert found is not None
        assert server is not None
        client = running.objects(found.ports)._patient  # noqa: SLF001 - the same client without us around it
        for number in range(rounds):
            draft = make_draft(f"round-{number}", fingerprint({"round": number}))
            work = steps(store, client, model, draft, folder / "got")
            for what in STEPS:
                forget(folder)
                taken[what].append(timed(work[what], server))
                if what.startswith("get"):
                    shutil.rmtree(folder / "got")
            shutil.rmtree(folder / "cache" / "artifacts")
    shutil.rmtree(model)
    print(f"{mib} MiB as {shape}:")
    wall = {what: min(each.wall for each in values) for what, values in taken.items()}
    cpu = {what: min(each.cpu for each in values) for what, values in taken.items()}
    for what, values in taken.items():
        print(
            f"  {what:19} {wall[what]:6.2f} s {mib / wall[what]:6.0f} MiB/s {cpu[what]:6.2f} s of processor,"
            f" at most {max(each.memory for each in values):.0f} MiB of memory"
        )
    for ours, bare in (("publish", "put"), ("pull", "get"), ("pull", "get by 1 MiB")):
        print(
            f"  {ours} / {bare}: {wall[bare] / wall[ours]:.2f} of the speed,"
            f" {cpu[bare] / cpu[ours]:.2f} by processor time,"
            f" at most {cpu[bare] / (cpu[bare] + cpu['sha256']):.2f} with one sha256",
            flush=True,
        )


def steps(
    store: Store, client: Any, model: Path, draft: ManifestDraft, got: Path
) -> dict[str, Callable[[], object]]:
    """What is timed in a round."""
    import obstore

    from shipfit.core.progress import NoProgress

    quiet = NoProgress()

    def get(path: Path, **chunks: int) -> None:
        got.mkdir(exist_ok=True)
        with (got / path.name).open("wb") as stream:
            for chunk in obstore.get(client, f"bare/{draft.name}/{path.name}").stream(**chunks):
                stream.write(chunk)

    def put(path: Path) -> None:
        obstore.put(client, f"bare/{draft.name}/{path.name}", path)

    return {
        "put": lambda: each_of(model, put),
        "publish": lambda: store.publish(model, draft, quiet),
        "get": lambda: each_of(model, get),
        "get by 1 MiB": lambda: each_of(model, lambda path: get(path, min_chunk_size=MIB)),
        "pull": lambda: store.pull(draft.name, draft.fingerprint, quiet),
        "verify again": lambda: store.pull(draft.name, draft.fingerprint, quiet),
        "sha256": lambda: hash_as_much(model),
    }


def each_of(folder: Path, copy: Callable[[Path], None]) -> None:
    """Copy all files, as many at once as shipfit does."""
    from shipfit.artifacts.parallel import TRANSFERS

    with ThreadPoolExecutor(TRANSFERS) as pool:
        list(pool.map(copy, sorted(folder.iterdir())))


def hash_as_much(folder: Path) -> None:
    """The digest of as many bytes as the folder has, of such as lie in the core's cache."""
    from shipfit.artifacts.parallel import PIECE

    digest, piece = hashlib.sha256(), os.urandom(PIECE)
    for _ in range(sum(path.stat().st_size for path in folder.iterdir()) // PIECE):
        digest.update(piece)


def write_random(path: Path, size: int) -> None:
    """A file of bytes that no store can compress."""
    block = os.urandom(64 * MIB)
    with path.open("wb") as stream:
        for begin in range(0, size, len(block)):
            stream.write(block[: size - begin])


def wait_for_the_end() -> None:
    """Return when the store's keeper has ended it: its folder is about to be removed."""
    from shipfit.artifacts import running

    while running.read():
        time.sleep(0.1)
    time.sleep(1)


class Taken(NamedTuple):
    """Seconds that a step took on the clock, and of processors by this process and the server; most MiB of memory."""

    wall: float
    cpu: float
    memory: float


def forget(folder: Path) -> None:
    """Write out what is in memory of the files of a folder, and keep none of it there."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def timed(work: Callable[[], object], server: psutil.Process) -> Taken:
    """What ``work`` takes."""

    def cpu() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in (psutil.Process(), server))

    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here (man 5 proc)
    begun, used = time.perf_counter(), cpu()
    work()
    return Taken(time.perf_counter() - begun, cpu() - used, peak())


def peak() -> float:
    """Most memory that this process has had at once, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def make_draft(name: str, fingerprint: str) -> ManifestDraft:
    """The least that a manifest must say."""
    from shipfit.artifacts import Dataset, Engine, GateResult, ManifestDraft, Source

    digest = hashlib.sha256(b"").hexdigest()
    return ManifestDraft(
        name=name,
        fingerprint=fingerprint,
        source=Source(model="none", revision="none"),
        recipe={},
        engine=Engine(name="none", version="0", lock_sha256=digest),
        dataset=Dataset(calibration_sha256=digest, gate_sha256=digest),
        gate=GateResult(passed=True, figures={}, limits={}),
        source_bytes=0,
    )


if __name__ == "__main__":
    main()
