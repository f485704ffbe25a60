"""The quantization engines: each a folder under ``pipelines/engines`` with its locks and its one worker script."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shipfit.core.errors import InputError
from shipfit.core.worker import LAUNCHER
from shipfit.environments import Accelerator, declaration, local_accelerator, pinned_version
from shipfit.quantize import gate
from shipfit.spec import Pipeline, locate
from shipfit.spec.precision import Precision

INSIDE = Path(__file__).with_name("inside")
"""Modules that workers import."""

_PACKAGES = {"llm-compressor": "llmcompressor"}
_PRECISIONS = {"llm-compressor": (Precision.GPTQ_W4A16,)}


@dataclass(frozen=True)
class Engine:
    """An engine as it runs on this machine.

    Attributes:
        name: also that of its environment.
        version: of its package.
        accelerator: the build that fits this machine.
        worker: its script.
    """

    name: str
    version: str
    accelerator: Accelerator
    worker: Path

    @property
    def lock_sha256(self) -> str:
        """Digest of the lock that its environment is made from."""
        return _digest(declaration(self.name).lock(self.accelerator))

    @property
    def scripts_sha256(self) -> str:
        """Digest of all scripts that make and measure an artifact."""
        return _digest(self.worker, gate.WORKER, LAUNCHER, *sorted(INSIDE.glob("*.py")))


def engine_of(pipeline: Pipeline) -> Engine:
    """The engine of a pipeline's recipe.

    Raises:
        InputError: the engine does not make that precision.
    """
    name, precision = pipeline.recipe.engine, pipeline.recipe.precision
    if precision not in _PRECISIONS[name]:
        raise InputError(
            f"{name} does not make {precision} here",
            hint=f"it makes: {', '.join(_PRECISIONS[name])}",
            where=locate(pipeline, "recipe", "precision"),
            field="recipe.precision",
        )
    return Engine(
        name=name,
        version=pinned_version(_PACKAGES[name]),
        accelerator=local_accelerator(),
        worker=declaration(name).folder / "worker.py",
    )


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
