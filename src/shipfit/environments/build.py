"""Building an environment with uv: once, safe against two at once and against interruption.

An environment lies in ``<cache>/envs/<name>-<digest of its locks and Python>``; a changed lock is another folder. The
marker file is written last: a folder without it is a build that was cut off, and is removed and built anew.
SHIPFIT_ENVIRONMENTS_DIR names a folder of environments that were built before, as into an image; it is only read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shipfit.core import locks, process
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.paths import cache_dir, write_atomically
from shipfit.core.progress import NoProgress, Progress
from shipfit.environments.catalogue import FROM_SOURCE, HOOK, declaration

ENVIRONMENT_PYTHON = "3.11"
"""The Python that the locks were made for: binary packages are hashed for one version. uv finds it or fetches it."""

_MARKER = ".shipfit-complete"


class Accelerator(StrEnum):
    """Which build of an environment."""

    CPU = "cpu"
    CUDA = "cuda"


def local_accelerator() -> Accelerator:
    """Which build engines run in: that for CUDA where NVIDIA's driver is loaded.

    SHIPFIT_ACCELERATOR says it where the work is driven from a machine without the GPUs that do it, as in a cluster.

    Raises:
        InputError: the variable names no build.
    """
    if told := os.environ.get("SHIPFIT_ACCELERATOR"):
        try:
            return Accelerator(told)
        except ValueError:
            raise InputError(
                f"is {told!r}", hint=f"set it to {' or '.join(Accelerator)}", where="SHIPFIT_ACCELERATOR"
            ) from None
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
    return (_prefix(name, accelerator) / _MARKER).exists()


def ensure(
    name: str, accelerator: Accelerator = Accelerator.CPU, progress: Progress | None = None
) -> Environment:
    """The environment called ``name``, built first if it is not there.

    Raises:
        InputError: no environment has that name.
        EnvironmentFailure: uv failed (the package index is out of reach, the disk is full).
    """
    environment = Environment(name, _prefix(name, accelerator))
    marker = environment.prefix / _MARKER
    if marker.exists():
        return environment
    progress = progress or NoProgress()
    with locks.exclusive(
        environment.prefix.with_name(f"{environment.prefix.name}.lock"),
        on_wait=lambda: progress.note(f"waiting for another shipfit that builds the {name} environment"),
    ):
        if not marker.exists():
            with progress.step(f"building the {name} environment"):
                _build(environment, declaration(name).lock(accelerator), progress)
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
    uv = _uv()
    install: list[str | Path] = ["--require-hashes", "--python", environment.python, *_find_links()]
    cpu_index = ["--torch-backend", "cpu"] if lock.stem == "cpu" and not _find_links() else []
    _run(
        environment, progress, uv, "venv", "--no-project", "--python", ENVIRONMENT_PYTHON, environment.prefix
    )
    _run(environment, progress, uv, "pip", "sync", *cpu_index, *install, lock)
    archives = lock.with_name(FROM_SOURCE)
    if archives.exists():
        # Not in an environment of their own: several ask for torch while they are built, and for the one they run with.
        alone = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
        _run(environment, progress, uv, "pip", "install", *alone, *install, "--requirements", archives)
    hook = lock.with_name(HOOK)
    if hook.exists():
        _run(environment, progress, environment.python, hook, environment.prefix)


def _run(environment: Environment, progress: Progress, *argv: str | Path) -> None:
    process.run(
        argv,
        doing=f"building the {environment.name} environment",
        # Kernels for CUDA are left out where a package asks so: they want a compiler, and nothing here runs them.
        env=process.child_environment({"BUILD_CUDA_EXT": "0"}),
        log=cache_dir("logs") / f"build-{environment.name}.log",
        on_line=progress.update,
    )


def _find_links() -> list[str]:
    """What pip reads by itself and uv does not: a site's own wheels."""
    return [word for link in os.environ.get("PIP_FIND_LINKS", "").split() for word in ("--find-links", link)]


def _prefix(name: str, accelerator: Accelerator) -> Path:
    lock, *more = (path.read_bytes() for path in declaration(name).made_from(accelerator))
    digest = hashlib.sha256(b"".join([lock, ENVIRONMENT_PYTHON.encode(), *more]))
    folder = f"{name}-{digest.hexdigest()[:12]}"
    brought = os.environ.get("SHIPFIT_ENVIRONMENTS_DIR")
    if brought and (Path(brought) / folder / _MARKER).exists():
        return Path(brought) / folder
    return cache_dir("envs") / folder


def _uv() -> str:
    from uv import find_uv_bin

    return find_uv_bin()
