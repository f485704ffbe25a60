"""Builds llama.cpp's tools: shipfit runs this with the environment's own Python once its packages are in place.

Usage: ``python build.py PREFIX``. The sources are those that llama-cpp-python's source archive carries, locked by hash
in ``sources.lock``. In the end ``PREFIX/bin`` holds the programs and ``PREFIX/share/llama.cpp`` the converter with the
Python modules that it imports. Lines on standard output are progress.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PROGRAMS = ("llama-quantize", "llama-imatrix", "llama-perplexity", "llama-server")

OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    # Two thirds of the sources are JSON, arguments and chat templates: a quarter less work than with -O2. What computes
    # is in ggml, see KERNELS.
    "CMAKE_CXX_FLAGS_RELEASE": "-O1 -DNDEBUG",
    "CMAKE_EXE_LINKER_FLAGS": "-s",
    # One set of files for every x86 machine with AVX2: a cache may be shared, an image is built elsewhere.
    "GGML_NATIVE": "OFF",
    "BUILD_SHARED_LIBS": "OFF",
    # Models come from folders here, and nobody looks at the server with a browser.
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_ALL_WARNINGS": "OFF",
    "GGML_ALL_WARNINGS": "OFF",
}

KERNELS = 'set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")'
"""CMake includes this into ggml's part of the project."""

SHARED = ("convert_hf_to_gguf.py", "conversion", "gguf-py/gguf", "LICENSE")
"""What is kept of the sources besides the programs."""


def main(prefix: Path) -> None:
    """Build and install everything below ``prefix``."""
    # What was started ends with this, as when shipfit is stopped: all of it is one process group.
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    require_compiler()
    with tempfile.TemporaryDirectory(dir=prefix) as scratch:
        sources = fetch(Path(scratch))
        build, kernels = Path(scratch) / "build", Path(scratch) / "kernels.cmake"
        kernels.write_text(KERNELS)
        options = {**OPTIONS, "CMAKE_PROJECT_ggml_INCLUDE": kernels}
        settings = [f"-D{key}={value}" for key, value in options.items()]
        run("cmake", "-G", "Ninja", "-S", sources, "-B", build, *settings)
        run("ninja", "-C", build, f"-j{len(os.sched_getaffinity(0))}", *PROGRAMS)
        for program in PROGRAMS:
            shutil.copy2(build / "bin" / program, prefix / "bin" / program)
        keep(sources, prefix / "share" / "llama.cpp")


def require_compiler() -> None:
    """End with one line where the machine has no C++ compiler."""
    named = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ([named] if named else ["c++", "g++", "clang++"])):
        sys.exit(
            "error: llama.cpp needs a C++ compiler and this machine has none; install g++ (Debian: apt install g++)"
        )


def fetch(scratch: Path) -> Path:
    """Download the locked archive and unpack llama.cpp's folder of it."""
    print("fetching the sources of llama.cpp", flush=True)  # noqa: T201 - progress
    lock = Path(__file__).with_name("sources.lock")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    # pip makes an archive's metadata even when it only downloads it: without isolation, from what is here.
    run(
        *pip, "--no-build-isolation", "--require-hashes", "--requirement", lock, "--dest", scratch / "archive"
    )
    (path,) = (scratch / "archive").iterdir()
    with tarfile.open(path) as archive:
        root = archive.getnames()[0].partition("/")[0]
        inside = f"{root}/vendor/llama.cpp/"
        members = [member for member in archive if member.name.startswith(inside)]
        # As an attribute, which Python before 3.11.4 passes over: Debian 12 has 3.11.2, without filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(scratch, members)  # noqa: S202 - by that filter, and the archive is locked by hash
    return scratch / inside


def keep(sources: Path, folder: Path) -> None:
    """Copy what the workers use of the sources, and the version that they are of."""
    folder.mkdir(parents=True)
    for name in SHARED:
        source, target = sources / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    (pin,) = Path(__file__).with_name("sources.lock").read_text().split()[:1]
    (folder / "VERSION").write_text(pin.partition("==")[2] + "\n")


def run(*argv: str | Path) -> None:
    """Run a program, of the environment's where it has one of that name; what it prints is progress."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    code = subprocess.run(argv, env={**os.environ, "PATH": path}, check=False).returncode
    if code:
        sys.exit(f"error: {Path(argv[0]).name} ended with code {code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
