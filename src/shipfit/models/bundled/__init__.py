"""The demo model: Gemma 3 270M from a package, so that the whole loop runs without a model hub.

The package carries it as GGUF Q4_K_M (Gemma terms of use). A worker dequantizes it to bf16: it has lost already what
4 bits lose, which is to be said wherever a quality figure of it is shown.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from shipfit.core import locks
from shipfit.core.digest import digest_of
from shipfit.core.errors import InputError
from shipfit.core.paths import cache_dir
from shipfit.core.progress import Progress
from shipfit.core.worker import run_worker
from shipfit.environments import declaration, ensure

NAMES = ("gemma-3-270m",)
"""The models that shipfit brings: ``bundled:NAME``."""

_ENVIRONMENT = "bundled"
_WORKER = Path(__file__).with_name("worker.py")


def folder(name: str, progress: Progress) -> Path:
    """The bundled model as a folder in the cache; made on first use (about 40 s and 550 MB).

    Raises:
        InputError: there is no bundled model of that name.
        EnvironmentFailure: making it failed.
    """
    path = cache_dir("models") / f"{name}-{revision(name)}"
    if path.exists():
        return path
    with locks.exclusive(
        path.with_suffix(".lock"),
        on_wait=lambda: progress.note(f"waiting for another shipfit that makes {name}"),
    ):
        if not path.exists():
            _make(name, path, progress)
    return path


def revision(name: str) -> str:
    """Digest of all that determines the files: the locked packages, which hold the weights, and the worker.

    Raises:
        InputError: there is no bundled model of that name.
    """
    if name not in NAMES:
        raise InputError(f"no bundled model is called {name!r}", hint=f"there is: {', '.join(NAMES)}")
    return digest_of((declaration(_ENVIRONMENT).lock("cpu"), _WORKER))[:12]


def _make(name: str, folder: Path, progress: Progress) -> None:
    environment = ensure(_ENVIRONMENT, progress=progress)
    unfinished = folder.with_suffix(".unfinished")  # of a run that was cut off, too: nobody else, by the lock
    shutil.rmtree(unfinished, ignore_errors=True)
    model = unfinished / "model"  # beside it, room for the worker's own temporary files
    model.mkdir(parents=True)
    with progress.step(f"making the bundled model {name}"):
        run_worker(
            environment.python,
            _WORKER,
            {"output": str(model)},
            doing=f"making the bundled model {name}",
            log=cache_dir("logs") / f"model-{name}.log",
            report=progress.update,
        )
    model.rename(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
