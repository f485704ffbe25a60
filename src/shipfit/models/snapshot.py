"""A model as a folder on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Snapshot:
    """A model that lies here whole.

    Attributes:
        path: a folder with config.json, the safetensors files and the tokenizer.
        revision: names the exact content.
    """

    path: Path
    revision: str
