"""How long ``shipfit plan`` takes where it has to weigh everything: every precision and split on 20 kinds of GPU."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shipfit.hardware import gpus

KINDS = 20
LIMIT_S = 1.0
_ROUNDS = 3
_SPEC = """\
apiVersion: shipfit/v1
kind: Deployment
name: everything
model: meta-llama/Llama-3.3-70B-Instruct
hardware:
{hardware}
promise:
  context: 131072
  concurrency: 100000 # more than anything holds, so that no option is left unweighed
"""


def plan_seconds() -> float:
    """Wall time of the command from start to end; the median of three runs."""
    kinds = [each.name for each in gpus()][:KINDS]
    hardware = "\n".join(f"  - {{ gpu: {name}, count: 8 }}" for name in kinds)
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "everything.yaml"
        spec.write_text(_SPEC.format(hardware=hardware))
        return statistics.median(_seconds(spec) for _ in range(_ROUNDS))


def _seconds(spec: Path) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "shipfit", "plan", str(spec)], capture_output=True, text=True, check=False
    )
    taken = time.perf_counter() - begun
    if done.returncode != 1:  # 1: nothing at hand holds the promise
        raise RuntimeError(f"shipfit plan ended with {done.returncode}: {done.stderr.strip()}")
    return taken
