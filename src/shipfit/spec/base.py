"""What every spec has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

API_VERSION = "shipfit/v1"
"""Version of the format of the files that users write."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]{0,51}[a-z0-9])?$")]
"""A name that is also a valid Kubernetes name with room for a suffix: at most 53 characters, as Helm asks."""


class Section(BaseModel):
    """A part of a spec: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Document(Section):
    """A whole file."""

    apiVersion: Literal["shipfit/v1"] = Field(description="Version of the file format.")  # noqa: N815 - as in Kubernetes
    name: Name
    """What this is called: lower-case letters, digits, dots and dashes."""

    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path | None:
        """The file it was read from."""
        return self._path

    def resolve(self, relative: str) -> Path:
        """A path that the file names, seen from the file's own folder."""
        base = self._path.parent if self._path else Path()
        return (base / Path(relative).expanduser()).resolve()
