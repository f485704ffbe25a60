"""Work in progress of one fingerprint on this machine; what other machines must know is in the store.

<state>/pipelines/<name>/<fingerprint>/
    artifact/                    the quantized model, whole
    artifact.unfinished/         the quantized model while it is written
    quantize.log, structure.log, ...
"""

from __future__ import annotations

import shutil
from pathlib import Path

from shipfit.core.paths import state_dir

WEIGHTS = (".safetensors", ".gguf")
"""How the names of files with weights end."""


class Workspace:
    """The folder of one fingerprint; made if it is not there.

    Args:
        name: of the pipeline.
        fingerprint: of the artifact to be.
    """

    def __init__(self, name: str, fingerprint: str) -> None:
        self.folder = state_dir("pipelines", name, fingerprint)
        self.artifact = self.folder / "artifact"

    def log(self, stage: str) -> Path:
        """The log of a stage."""
        return self.folder / f"{stage}.log"

    def discard_artifact(self) -> None:
        """Remove the model, as when it is published; the logs stay."""
        shutil.rmtree(self.artifact, ignore_errors=True)


def weight_bytes(model: Path) -> int:
    """Bytes of the weights in a model's folder."""
    return sum(file.stat().st_size for file in model.iterdir() if file.suffix in (".safetensors", ".gguf"))
