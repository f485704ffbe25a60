"""Publish and pull on the embedded store, as ratios to the bare obstore client copying the same bytes in the same run.

The bare client neither hashes nor verifies nor commits; it has as many files in flight as shipfit. It gets in three
ways: as it comes, in chunks of 1 MiB (which of the two is quicker depends on the size and the machine), and in chunks
of 1 MiB with nothing but one sha256 in a thread beside: what a pull would take if it did only what it must. Each step
begins with nothing in memory of what was written before: what the page cache holds by chance would decide. Medians of
the rounds, in which the ways to read take turns at being first. Goal: at least 0.9 of the bare client's speed, both
ways, as one file and as shards, in memory that does not grow with the artifact (the most of any round is shown; Linux
tells it). Where the bare client leaves nothing of the processors idle, hashing has its price on the clock: see "idle",
over the whole machine, and the ratio of the two bare ways. The disk must hold the artifact three times, and twice more
for every round that writes.

    python benchmarks/artifacts.py [--mib 512] [--rounds 4] [--writes 4]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

if TYPE_CHECKING:
    from shipfit.artifacts import ManifestDraft, Store

MIB = 2**20
SHAPES = {"1 file": 1, "8 shards": 8}
WRITES = ("put", "publish")
READS = ("get", "get by 1 MiB", "get and hash", "pull")
RATIOS = (
    ("publish", "put"),
    ("pull", "get"),
    ("pull", "get by 1 MiB"),
    ("pull", "get and hash"),
    ("get and hash", "get by 1 MiB"),
)


def main() -> None:
    """Measure in folders of its own, with the environments that are there."""
    parser = argparse.ArgumentParser(description="Publish and pull against the bare client.")
    parser.add_argument("--mib", type=int, default=512, help="size of the artifact")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--writes", type=int, default=4, help="rounds that write; later ones read what is there"
    )
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
            measure(folder, shape, files, arguments.mib, arguments.rounds, arguments.writes)
            wait_for_the_end()
            shutil.rmtree(folder / "data")


def measure(folder: Path, shape: str, files: int, mib: int, rounds: int, writes: int) -> None:
    """Print throughput and ratios of one shape."""
    from shipfit.artifacts import fingerprint, open_store, running
    from shipfit.core.progress import NoProgress

    model = folder / "model"
    model.mkdir()
    for number in range(files):
        write_random(model / f"model-{number}.safetensors", mib * MIB // files)
    quiet = NoProgress()
    taken: dict[str, list[Taken]] = {what: [] for what in (*WRITES, *READS, "verify again")}
    with open_store(None, quiet) as store:
        found = running.read()
        server = found.server.process() if found else None
        assert found is not None
        assert server is not None
        client = running.objects(found.ports)._patient  # noqa: SLF001 - the same client without us around it
        for number in range(rounds):
            written = min(number, writes - 1)
            draft = make_draft(f"round-{written}", fingerprint({"round": written}))
            work = steps(store, client, model, draft, folder / "got")
            first = number % len(READS)
            order = (*READS[first:], *READS[:first], "verify again")
            for what in (*WRITES, *order) if number < writes else order:
                forget(folder)
                taken[what].append(timed(work[what], server))
                shutil.rmtree(folder / "got", ignore_errors=True)
            shutil.rmtree(folder / "cache" / "artifacts")
    shutil.rmtree(model)
    print(f"{mib} MiB as {shape}, medians of {rounds} rounds, {min(writes, rounds)} of which wrote:")
    medians = {what: median(values) for what, values in taken.items()}
    for what, each in medians.items():
        print(
            f"  {what:13} {each.wall:6.2f} s {mib / each.wall:6.0f} MiB/s {each.cpu:6.2f} s of processor,"
            f" {each.idle:3.0%} of the machine idle, at most {max(one.memory for one in taken[what]):.0f} MiB of memory"
        )
    for ours, bare in RATIOS:
        one, other = medians[bare], medians[ours]
        print(
            f"  {ours} / {bare}: {one.wall / other.wall:.2f} of the speed, {one.cpu / other.cpu:.2f} by processor time",
            flush=True,
        )


def steps(
    store: Store, client: Any, model: Path, draft: ManifestDraft, got: Path
) -> dict[str, Callable[[], object]]:
    """What is timed in a round."""
    import obstore

    from shipfit.core.progress import NoProgress

    quiet = NoProgress()

    def get(path: Path, see: Callable[[Any], object] = lambda _: None, **chunks: int) -> None:
        got.mkdir(exist_ok=True)
        with (got / path.name).open("wb") as stream:
            for chunk in obstore.get(client, f"bare/{draft.name}/{path.name}").stream(**chunks):
                see(chunk)
                stream.write(chunk)

    def get_and_hash(path: Path) -> None:
        waiting: Queue[Any] = Queue(8)
        beside = Thread(target=hash_all, args=(waiting,))
        beside.start()
        get(path, waiting.put, min_chunk_size=MIB)
        waiting.put(None)
        beside.join()

    def put(path: Path) -> None:
        obstore.put(client, f"bare/{draft.name}/{path.name}", path)

    return {
        "put": lambda: each_of(model, put),
        "publish": lambda: store.publish(model, draft, quiet),
        "get": lambda: each_of(model, get),
        "get by 1 MiB": lambda: each_of(model, lambda path: get(path, min_chunk_size=MIB)),
        "get and hash": lambda: each_of(model, get_and_hash),
        "pull": lambda: store.pull(draft.name, draft.fingerprint, quiet),
        "verify again": lambda: store.pull(draft.name, draft.fingerprint, quiet),
    }


def hash_all(chunks: Queue[Any]) -> None:
    """The digest of all chunks, until None comes."""
    digest = hashlib.sha256()
    while (chunk := chunks.get()) is not None:
        digest.update(chunk)


def each_of(folder: Path, copy: Callable[[Path], None]) -> None:
    """Copy all files, as many at once as shipfit does."""
    from shipfit.core.transfers import TRANSFERS

    with ThreadPoolExecutor(TRANSFERS) as pool:
        list(pool.map(copy, sorted(folder.iterdir())))


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
    """What a step took.

    Attributes:
        wall: seconds on the clock.
        cpu: seconds of processors, by this process and the server.
        idle: share of the whole machine's processors that did nothing meanwhile.
        memory: most MiB of this process.
    """

    wall: float
    cpu: float
    idle: float
    memory: float


def median(rounds: list[Taken]) -> Taken:
    """The median of each figure."""
    return Taken(*map(statistics.median, zip(*rounds, strict=True)))


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
    psutil.cpu_times_percent()  # the next call tells what was since this one
    work()
    wall, used = time.perf_counter() - begun, cpu() - used
    machine = psutil.cpu_times_percent()
    return Taken(wall, used, (machine.idle + getattr(machine, "iowait", 0)) / 100, peak())


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
