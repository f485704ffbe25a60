"""A worker that runs another one, ``request["worker"]``, and tells what it took of the GPU and the host besides."""

from __future__ import annotations

import resource
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def main(request: dict[str, Any], report: Callable[[str, float | None], None]) -> dict[str, Any]:
    """Run it; ``gpu_bytes`` are its tensors and CUDA's context at their most, ``host_bytes`` its resident set."""
    worker = Path(request.pop("worker"))
    sys.path.append(str(worker.parent))
    context = 0
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")
        free, total = torch.cuda.mem_get_info()
        context = total - free - torch.cuda.memory_reserved()
    result = runpy.run_path(str(worker))["main"](request, report)
    tensors = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**result, "gpu_bytes": context + tensors, "host_bytes": largest}
