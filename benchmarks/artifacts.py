"""Publish and pull of a 512 MiB artifact on the embedded store, as ratios to bare obstore put and get in the same run.

Bare obstore neither hashes nor verifies nor commits; the ratio is what that costs. Best of three of each, in turn.

    python benchmarks/artifacts.py
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipfit.artifacts import ManifestDraft

MIB = 2**20
FILES = 4
FILE_BYTES = 128 * MIB
ROUNDS = 3


def main() -> None:
    """Measure in folders of its own, with the environments that are there."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for variable in ("STATE", "DATA"):
            os.environ[f"SHIPFIT_{variable}_DIR"] = str(folder / variable.lower())
        from shipfit.core.paths import cache_dir

        environments = cache_dir("envs")
        os.environ["SHIPFIT_CACHE_DIR"] = str(folder / "cache")
        (folder / "cache").mkdir()
        (folder / "cache" / "envs").symlink_to(environments)
        measure(folder)
        wait_for_the_end()


def measure(folder: Path) -> None:
    """Print seconds, throughput and the two ratios."""
    import obstore

    from shipfit.artifacts import fingerprint, open_store, running
    from shipfit.core.progress import NoProgress

    model = folder / "model"
    model.mkdir()
    for number in range(FILES):
        (model / f"model-{number}.safetensors").write_bytes(os.urandom(FILE_BYTES))
    quiet = NoProgress()
    seconds: dict[str, list[float]] = {"put": [], "publish": [], "get": [], "pull": [], "verify again": []}
    with open_store(None, quiet) as store:
        found = running.read()
        assert found is not None
        bare = running.objects(found.ports)._patient  # noqa: SLF001 - the same client without us around it
        for number in range(ROUNDS):
            seconds["put"].append(
                timed(lambda n=number: [obstore.put(bare, f"bare/{n}/{p.name}", p) for p in model.iterdir()])
            )
            name = f"round-{number}"
            draft = make_draft(name, fingerprint({"round": number}))
            seconds["publish"].append(timed(lambda d=draft: store.publish(model, d, quiet)))
            seconds["get"].append(
                timed(
                    lambda n=number: [
                        get(bare, f"bare/{n}/{p.name}", folder / p.name) for p in model.iterdir()
                    ]
                )
            )
            seconds["pull"].append(timed(lambda d=draft: store.pull(d.name, d.fingerprint, quiet)))
            seconds["verify again"].append(timed(lambda d=draft: store.pull(d.name, d.fingerprint, quiet)))
    best = {what: min(values) for what, values in seconds.items()}
    total = FILES * FILE_BYTES / MIB
    for what, value in best.items():
        print(f"{what:14} {value:6.2f} s {total / value:8.0f} MiB/s")
    print(f"publish / put  {best['publish'] / best['put']:.2f}")
    print(f"pull / get     {best['pull'] / best['get']:.2f}")


def wait_for_the_end() -> None:
    """Return when the store's keeper has ended it: its folder is about to be removed."""
    from shipfit.artifacts import running

    while running.read():
        time.sleep(0.1)
    time.sleep(1)


def get(store: object, key: str, path: Path) -> None:
    """Bare get: streamed into a file."""
    import obstore

    with path.open("wb") as stream:
        for chunk in obstore.get(store, key).stream():
            stream.write(chunk)


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


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
