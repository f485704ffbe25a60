"""Work in progress of one fingerprint: what a run that was cut off leaves for the next one.

<state>/pipelines/<name>/<fingerprint>/
    artifact/          the quantized model
    quantize.json      written when it is whole: a folder without it is made anew
    gate.json          the gate's figures
    quantize.log, gate.log
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from shipfit.core.errors import from_os_error
from shipfit.core.paths import state_dir, write_atomically


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

    def finished(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage left; None if it has to be run."""
        try:
            result: dict[str, Any] = json.loads((self.folder / f"{stage}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return result

    def finish(self, stage: str, result: dict[str, Any]) -> dict[str, Any]:
        """Record that a stage is finished."""
        write_atomically(self.folder / f"{stage}.json", json.dumps(result, indent=2))
        return result

    def begin_artifact(self) -> Path:
        """A new, empty folder for a model that is not whole yet; what an earlier run left is removed."""
        unfinished = self.folder / "artifact.unfinished"
        try:
            self.discard_artifact()
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
        except OSError as error:
            raise from_os_error(error, "making a folder for the artifact") from error
        return unfinished

    def keep_artifact(self, unfinished: Path) -> None:
        """Put a model that is whole now in its place, on the disk and not only in memory."""
        for file in unfinished.iterdir():
            file.chmod(0o644)
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        unfinished.rename(self.artifact)

    def discard_artifact(self) -> None:
        """Remove the model and its figures, as when it is in the store; the logs stay."""
        for stage in ("gate", "quantize"):  # first what says that it is whole
            (self.folder / f"{stage}.json").unlink(missing_ok=True)
        shutil.rmtree(self.artifact, ignore_errors=True)


def weight_bytes(model: Path) -> int:
    """Bytes of the safetensors files of a model's folder."""
    return sum(file.stat().st_size for file in model.glob("*.safetensors"))
