"""What the stages of these tests do: say who they are, wait as long as a file is there, fail as told, write a file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def main(request, report):
    with Path(request["started"]).open("a") as stream:
        stream.write(f"{os.getpid()} {request.get('batch')}\n")
    report("at work", 0.5)
    if request.get("fail_above", 99) < request.get("batch", 0):
        raise MemoryError("can't allocate memory: you tried to allocate 8 bytes")
    while request.get("hold") and Path(request["hold"]).exists():
        time.sleep(0.05)
    if request.get("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if request.get("input"):
        report(Path(request["input"]).read_text(), None)
    if request.get("output"):
        (Path(request["output"]) / "weights").write_text("whole")
    return {"pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"], "ppid": os.getppid()}
