"""Which environments there are, where their locks lie, and the one file with every version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shipfit.core.errors import InputError

HOOK = "build.py"
"""In an environment's folder: what no package brings is made by this script, run with the environment's own Python
after its packages are in place; its argument is the environment's prefix, its lines are progress."""

FROM_SOURCE = "from-source.lock"
"""In an environment's folder: packages that are built from their source archives after the others are in place."""

_SOURCES = "sources.lock"  # archives that a hook fetches

_PACKAGE = Path(__file__).parent
_EMBEDDED = _PACKAGE.parent / "embedded"
_REPOSITORY = _PACKAGE.parents[2]


def embedded(*parts: str) -> Path:
    """A file or folder that users edit and shipfit carries a copy of, such as ``pipelines``.

    In a checkout it is the repository's own; in an installed shipfit, the copy in the package.
    """
    inside = _EMBEDDED.joinpath(*parts)
    return inside if inside.exists() else _REPOSITORY.joinpath(*parts)


@dataclass(frozen=True)
class Declaration:
    """A declared environment.

    Attributes:
        name: the folder's name, such as ``vllm-cpu``.
        folder: where requirements.in and the locks lie.
    """

    name: str
    folder: Path

    def lock(self, accelerator: str) -> Path:
        """The lock file for ``cpu`` or ``cuda``; where only one is there, it serves both."""
        both = [self.folder / "cpu.lock", self.folder / "cuda.lock"]
        return next(lock for lock in (self.folder / f"{accelerator}.lock", *both) if lock.exists())

    def made_from(self, accelerator: str) -> list[Path]:
        """Every file that determines what is in the environment, the lock first."""
        more = (self.folder / name for name in (FROM_SOURCE, _SOURCES, HOOK))
        return [self.lock(accelerator), *(path for path in more if path.exists())]


@cache
def declarations() -> dict[str, Declaration]:
    """Every declared environment by name: shipfit's own, then the engines."""
    folders = [
        path.parent
        for root in (_PACKAGE, embedded("pipelines", "engines"))
        for path in sorted(root.glob("*/requirements.in"))
    ]
    return {folder.name: Declaration(folder.name, folder) for folder in folders}


def declaration(name: str) -> Declaration:
    """The environment called ``name``.

    Raises:
        InputError: there is none; names those there are.
    """
    known = declarations()
    if name not in known:
        raise InputError(f"no environment is called {name!r}", hint=f"there are: {', '.join(known)}")
    return known[name]


@cache
def _versions() -> dict[str, str]:
    lines = (_PACKAGE / "versions.txt").read_text().splitlines()
    pins = (line.partition("#")[0].strip().partition("==") for line in lines)
    return {name.strip().lower(): version.strip() for name, equals, version in pins if equals}


def pinned_version(package: str) -> str:
    """The version of ``package`` that this shipfit is made for, from versions.txt.

    Raises:
        KeyError: versions.txt does not name it (a mistake in shipfit, not of the user).
    """
    return _versions()[package.lower()]
