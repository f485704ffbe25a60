"""Locked Python environments that shipfit builds on first use: engines, vLLM, the router, the object store.

They pin each other's dependencies to versions that cannot live together, so each is an environment of its own,
made by uv from a lock file with hashes. A folder here (or below ``pipelines/engines``) declares one:

    requirements.in   what is asked for, without versions
    versions.txt      (beside the folders) every version, in one place
    cpu.lock          all that is installed, with hashes; ``cuda.lock`` where a GPU wants other builds
    from-source.in    packages among them that must be built here, of their source archives; from-source.lock
    build.py          makes what no package brings, from the archives that sources.lock names

``scripts/lock`` writes the lock files anew.
"""

from shipfit.environments.build import (
    ENVIRONMENT_PYTHON,
    Accelerator,
    Environment,
    ensure,
    find_python,
    is_built,
    local_accelerator,
)
from shipfit.environments.catalogue import Declaration, declaration, declarations, embedded, pinned_version

__all__ = [
    "ENVIRONMENT_PYTHON",
    "Accelerator",
    "Declaration",
    "Environment",
    "declaration",
    "declarations",
    "embedded",
    "ensure",
    "find_python",
    "is_built",
    "local_accelerator",
    "pinned_version",
]
