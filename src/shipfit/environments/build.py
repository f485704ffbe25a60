"""Building an environment with uv: once, safe against two at once and against interruption.

An environment lies in ``<cache>/envs/<name>-<digest of its lock and Python>``; a changed lock is another folder. The
marker file is written last: a folder without it is a build that was cut off, and is removed and built anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shipfit.core import locks, process
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import cache_dir, write_atomically
from shipfit.core.progress import NoProgress, Progress
from shipfit.environments.catalogue import declaration

ENVIRONMENT_PYTHON = "3.11"
"""The Python that the locks were made for: binary packages are hashed for one version. uv finds it or fetches it."""

_MARKER = ".shipfit-complete"


class Accelerator(StrEnum):
    """Which build of an environment."""

    CPU = "cpu"
    CUDA = "cuda"


def local_accelerator() -> Accelerator:
    """Which build this machine runs: that for CUDA where NVIDIA's driver is loaded."""
    return Accelerator.CUDA if Path("/proc/driver/nvidia/version").exists() else Accelerator.CPU


@dataclass(frozen=True)
class Environment:
    """A built environment.

    Attributes:
        name: as declared.
        prefix: its folder, with ``bin`` below.
    """

    name: str
    prefix: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.prefix / "bin" / "python"

    def program(self, name: str) -> Path:
        """A program that a package put into its ``bin`` folder.

        Raises:
            EnvironmentFailure: it is not there.
        """
        path = self.prefix / "bin" / name
        if not path.exists():
            raise EnvironmentFailure(
                f"the {self.name} environment has no program {name}",
                hint=f"remove {self.prefix} and run the command again",
            )
        return path


def is_built(name: str, accelerator: Accelerator = Accelerator.CPU) -> bool:
    """Whether ``ensure`` would return at once."""
    return (_prefix(declaration(name).lock(accelerator), name) / _MARKER).exists()


def ensure(
    name: str, accelerator: Accelerator = Accelerator.CPU, progress: Progress | None = None
) -> Environment:
    """The environment called ``name``, built first if it is not there.

    Raises:
        InputError: no environment has that name.
        EnvironmentFailure: uv failed (the package index is out of reach, the disk is full).
    """
    lock = declaration(name).lock(accelerator)
    environment = Environment(name, _prefix(lock, name))
    marker = environment.prefix / _MARKER
    if marker.exists():
        return environment
    progress = progress or NoProgress()
    with locks.exclusive(
        environment.prefix.with_suffix(".lock"),
        on_wait=lambda: progress.note(f"waiting for another shipfit that builds the {name} environment"),
    ):
        if not marker.exists():
            with progress.step(f"building the {name} environment"):
                _build(environment, lock, progress)
            write_atomically(marker, "")
    return environment


def find_python() -> str | None:
    """The interpreter that environments will be made with; None where uv would have to fetch it first."""
    try:
        return process.run([_uv(), "python", "find", ENVIRONMENT_PYTHON], doing="looking for Python")[-1]
    except EnvironmentFailure:
        return None


def _build(environment: Environment, lock: Path, progress: Progress) -> None:
    shutil.rmtree(environment.prefix, ignore_errors=True)
    doing = f"building the {environment.name} environment"
    uv = _uv()
    log = cache_dir("logs") / f"build-{environment.name}.log"
    process.run(
        [uv, "venv", "--no-project", "--python", ENVIRONMENT_PYTHON, environment.prefix], doing=doing, log=log
    )
    command: list[str | Path] = [
        uv,
        "pip",
        "sync",
        "--require-hashes",
        "--python",
        environment.python,
        *_find_links(),
        lock,
    ]
    if lock.stem == "cpu" and not _find_links():
        command[3:3] = ["--torch-backend", "cpu"]  # PyTorch's CPU builds are not on the usual index
    process.run(command, doing=doing, log=log, on_line=progress.update)


def _find_links() -> list[str]:
    """What pip reads by itself and uv does not: a site's own wheels."""
    return [word for link in os.environ.get("PIP_FIND_LINKS", "").split() for word in ("--find-links", link)]


def _prefix(lock: Path, name: str) -> Path:
    digest = hashlib.sha256(lock.read_bytes() + ENVIRONMENT_PYTHON.encode()).hexdigest()[:12]
    return cache_dir("envs") / f"{name}-{digest}"


def _uv() -> str:
    from uv import find_uv_bin

    return find_uv_bin()
