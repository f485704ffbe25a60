"""This machine's processor as a place to serve models: a short probe, kept in the cache.

Bandwidth is measured (one core, then all of them at once: they share the memory controllers), by libc's ``memmove``
over buffers that no cache holds. Compute is derived: cores x clock x numbers in a vector x 2 (a fused multiply-add is
two operations) x 2 (units that do them at once: two of 512 bits on server cores since Skylake-SP and, as four of 256,
on Zen 4: Intel 64 and IA-32 Optimization Reference Manual, table "Execution units"; AMD Software Optimization Guide
for Zen 4, section 2.11).
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import threading
import time
from functools import cache
from pathlib import Path

import psutil
from pydantic import ValidationError

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import cache_dir, write_atomically
from shipfit.core.units import GIB
from shipfit.hardware.gpu import Cpu, Gpu

_CPUINFO = Path("/proc/cpuinfo")
_BUFFER = (
    64 * 2**20
)  # bytes a core copies from one buffer to another: more than a core's share of the largest caches
_MEASURE_S = 0.3  # how long copies are repeated; the fastest counts, since anything slower was disturbed
_FMA_UNITS = 2
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")


@cache
def processor() -> Gpu:
    """This machine's processor; probed once (about a second) and remembered for machines of the same kind.

    Raises:
        EnvironmentFailure: the operating system does not say what the processor is.
    """
    info = _information()
    cores = len(os.sched_getaffinity(0))
    key = hashlib.sha256(f"2\n{info['model name']}\n{cores}\n{info.get('flags')}".encode()).hexdigest()[:16]
    file = cache_dir("hardware") / f"cpu-{key}.json"
    try:
        measured = json.loads(file.read_bytes())
        return _describe(info, cores, measured["core"], measured["all"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        pass  # not probed yet, or the file was damaged
    measured = {"core": bandwidth(1), "all": bandwidth(cores)}
    if os.getloadavg()[0] <= cores:  # on a machine that is busier, the next command measures again
        write_atomically(file, json.dumps(measured))
    return _describe(info, cores, measured["core"], measured["all"])


def bandwidth(threads: int) -> float:
    """GB/s that so many threads read and write together, each copying a buffer of its own.

    Args:
        threads: how many, on as many cores.
    """
    buffers = [
        (ctypes.create_string_buffer(_BUFFER), ctypes.create_string_buffer(_BUFFER)) for _ in range(threads)
    ]
    for source, target in buffers:  # touched, so that every page is there
        ctypes.memset(source, 1, _BUFFER)
        ctypes.memset(target, 1, _BUFFER)
    end = time.perf_counter() + _MEASURE_S
    best = _copy_all(buffers)
    while time.perf_counter() < end:
        best = min(best, _copy_all(buffers))
    return 2 * _BUFFER * threads / best / 1e9


def _copy_all(buffers: list[tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]]) -> float:
    """Seconds to copy every source to its target at once; ctypes lets go of the interpreter lock meanwhile."""
    workers = [
        threading.Thread(target=ctypes.memmove, args=(target, source, _BUFFER)) for source, target in buffers
    ]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begun


def _describe(info: dict[str, str], cores: int, core_gb_s: float, all_gb_s: float) -> Gpu:
    flags = set(info.get("flags", "").split())
    numbers = 16 if "avx512f" in flags else 8 if "avx2" in flags else 4  # of 32 bits, in a vector register
    core_tflops = float(info.get("cpu MHz", 0) or 2000) * 1e6 * numbers * 2 * _FMA_UNITS / 1e12
    # AVX512_BF16's dot product takes two 16-bit pairs where an FMA takes one 32-bit pair.
    tflops = core_tflops * cores * (2 if "avx512_bf16" in flags else 1)
    memory = psutil.virtual_memory().total
    return Gpu(
        name="cpu",
        resource="cpu",
        node=1,
        memory_gb=memory / 1e9,
        usable_gib=memory / GIB,
        usable_source="the operating system",
        bandwidth_gb_s=all_gb_s,
        tflops={"bf16": tflops, "fp16": core_tflops * cores},
        source=f"probe of this machine's {info['model name']}, {cores} cores",
        cpu=Cpu(
            cores=cores,
            core_bandwidth_gb_s=core_gb_s,
            core_tflops=core_tflops,
            flags=tuple(flag for flag in _FLAGS if flag in flags),
        ),
    )


def _information() -> dict[str, str]:
    """The first core's entries in /proc/cpuinfo."""
    try:
        first = _CPUINFO.read_text().split("\n\n")[0]
    except OSError as error:
        raise EnvironmentFailure(
            f"{_CPUINFO} cannot be read: {error.strerror}", hint="serving on the processor needs Linux"
        ) from error
    pairs = (line.partition(":") for line in first.splitlines())
    info = {key.strip(): value.strip() for key, _, value in pairs}
    info.setdefault("model name", "unknown processor")
    return info
