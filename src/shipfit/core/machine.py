"""What this machine offers, as far as running shipfit on it depends on it."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from shipfit.core import paths
from shipfit.core.units import GIB


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what, in a word or two.
        found: what is there.
        ok: whether it is enough.
        advice: what to do where it is not; empty where it is.
        required: whether shipfit cannot do without (else only a part of it, which ``advice`` names).
    """

    name: str
    found: str
    ok: bool
    advice: str = ""
    required: bool = True


def check_machine() -> list[Check]:
    """Look at everything that the README asks of a machine."""
    return [
        _system(),
        _python(),
        *(_program(name, why) for name, why in (("git", "cloning"), ("make", "the make targets"))),
        _memory(),
        # The demo's environments, models and uv's own cache take 6.8 GB (du); its artifact 0.4.
        _disk("cache", paths.cache_dir(), 12),
        _disk("data", paths.data_dir(), 2),
        _vector_unit(),
        _nvidia(),
    ]


def _check(name: str, found: str, ok: bool, advice: str, *, required: bool = True) -> Check:
    return Check(name, found, ok, "" if ok else advice, required)


def _system() -> Check:
    libc = " ".join(platform.libc_ver())
    ok = sys.platform == "linux" and platform.machine() == "x86_64" and libc.startswith("glibc")
    found = f"{platform.system()} {platform.machine()} {libc}"
    return _check(
        "system", found, ok, "engines and servers come as wheels for Linux x86_64 with glibc 2.31 or newer"
    )


def _python() -> Check:
    return _check(
        "Python", platform.python_version(), sys.version_info >= (3, 11), "install Python 3.11 or newer"
    )


def _program(name: str, why: str) -> Check:
    path = shutil.which(name)
    return _check(
        name, path or "not found", path is not None, f"install {name}; {why} needs it", required=False
    )


def _memory() -> Check:
    gib = psutil.virtual_memory().available / GIB
    return _check(
        "free memory",
        f"{gib:.1f} GiB",
        gib >= 12,
        "the demo's two replicas take 9.4 GiB; end other programs",
        required=False,
    )


def _disk(name: str, path: Path, needed: int) -> Check:
    gib = shutil.disk_usage(path).free / GIB
    advice = f"free {needed - gib:.1f} GiB, or set SHIPFIT_{name.upper()}_DIR to another disk"
    return _check(f"disk for {name}", f"{gib:.0f} GiB free at {path}", gib >= needed, advice)


def _vector_unit() -> Check:
    try:
        flags = next(
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")
        ).split()
    except (OSError, StopIteration):
        flags = []
    found = "AVX-512" if "avx512f" in flags else "no AVX-512"
    return _check(
        "processor",
        found,
        "avx512f" in flags,
        "vLLM's CPU build needs AVX-512: serving here needs a GPU",
        required=False,
    )


def _nvidia() -> Check:
    driver = Path("/proc/driver/nvidia/version")
    found = (
        driver.read_text().splitlines()[0] if driver.exists() else "none: models are served by the processor"
    )
    return Check("NVIDIA driver", found, True, required=False)
