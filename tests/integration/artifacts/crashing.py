"""Publishes and promotes, or collects, in processes of their own, each killed at another place; run by test_crashes.py.

    python crashing.py publish MODEL EXTRA
    python crashing.py collect MODEL

One process a place, forked so that imports are paid for once: the first is killed at its first place, the next at its
second, and so on until one comes to its end. A place is right before a request to the store, or when a chunk of a file
has been read that is being uploaded. Nothing in shipfit knows of this: the methods are wrapped here. Prints the number
of places.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shipfit.artifacts import Dataset, Engine, GateResult, ManifestDraft, Source, open_store
from shipfit.artifacts import folder as folders
from shipfit.artifacts import stage as staging
from shipfit.artifacts.objects import Objects
from shipfit.core.progress import NoProgress
from shipfit.spec import Retention

DIGEST = "a" * 64
REQUESTS = ("read", "create", "write", "replace", "folders", "below", "upload", "size", "find", "delete")


def draft(name: str, content: str) -> ManifestDraft:
    """What is known of an artifact; another ``content`` gives another fingerprint."""
    return ManifestDraft(
        name=name,
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
        source=Source(model="bundled:gemma-3-270m", revision="r1"),
        recipe={"precision": "gptq-w4a16"},
        engine=Engine(name="llm-compressor", version="0.13.0", lock_sha256=DIGEST),
        dataset=Dataset(calibration_sha256=DIGEST, gate_sha256=DIGEST),
        gate=GateResult(passed=True, figures={"mean_kl": 0.05}, limits={"max_mean_kl": 0.1}),
        source_bytes=1000,
    )


def publish(place: int, name: str, model: Path, extra: Path) -> None:
    """Stage, commit, promote."""
    made = draft(name, name)
    die_at(place)
    with open_store(None, NoProgress()) as store:
        store.keep_checkpoint(name, made.fingerprint, "gate", "of", {"mean_kl": 0.05})
        staged = store.stage(model, name, made.fingerprint, NoProgress())
        store.commit(made, staged, NoProgress(), extra)
        store.promote(name, "candidate", made.fingerprint)


def collect(place: int, name: str, model: Path) -> None:
    """Remove all but what a channel and a pin name, which are made before."""
    with open_store(None, NoProgress()) as store:
        for content in ("promoted", "pinned", "loose", "also loose"):
            store.publish(model, draft(name, content), NoProgress())
        store.promote(name, "stable", draft(name, "promoted").fingerprint)
        store.pin(name, draft(name, "pinned").fingerprint, "baseline")
        die_at(place)
        store.collect(name, Retention(keep=0, older_than="0h", rollbacks=0), {}, NoProgress())


def die_at(place: int) -> None:
    """Wrap every request and every read, so that this process is killed before the one of that number."""
    count = itertools.count()
    lock = threading.Lock()

    def passes() -> None:
        with lock:
            if next(count) == place:
                os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            passes()
            return method(*arguments, **named)

        return wrapper

    for request in REQUESTS:
        setattr(Objects, request, wrapped(getattr(Objects, request)))
    read = folders.read_hashed

    def chunks(*arguments: Any) -> Iterator[bytes]:
        for chunk in read(*arguments):
            passes()
            yield chunk

    staging.read_hashed = chunks


def main() -> None:
    """Kill one process after the other."""
    act: Callable[..., None] = {"publish": publish, "collect": collect}[sys.argv[1]]
    arguments = [Path(each) for each in sys.argv[2:]]
    for place in itertools.count():
        child = os.fork()
        if child == 0:
            act(place, f"{sys.argv[1]}-{place}", *arguments)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            sys.stdout.write(f"{place if status == 0 else -1}\n")
            return


if __name__ == "__main__":
    main()
