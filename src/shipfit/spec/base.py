"""What every spec has in common."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, PrivateAttr

API_VERSION = "shipfit/v1"
"""Version of the format of the files that users write."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]{0,51}[a-z0-9])?$")]
"""A name that is also a valid Kubernetes name with room for a suffix: at most 53 characters, as Helm asks."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A number above zero that is one: YAML also knows ``.inf`` and ``.nan``."""


class Section(BaseModel):
    """A part of a spec: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON Schema; what stands below a field is its description.

        pydantic's ``use_attribute_docstrings`` does the same as each class is made: 50 ms of every command.
        """
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for each in cls.__mro__:
            if issubclass(each, Section):
                for name, text in _attribute_docstrings(each).items():
                    properties[name].setdefault("description", text)
        return schema


class Document(Section):
    """A whole file."""

    apiVersion: Literal["shipfit/v1"] = Field(description="Version of the file format.")  # noqa: N815 - as in Kubernetes
    name: Name
    """What this is called: lower-case letters, digits, dots and dashes."""

    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path | None:
        """The file it was read from, as it was named: a link stays one, such as those of a mounted ConfigMap."""
        return self._path

    @property
    def folder(self) -> Path | None:
        """The folder that paths in the file are seen from: where the file itself lies, not a link to it."""
        return self._path.resolve().parent if self._path else None

    def resolve(self, relative: str) -> Path:
        """A path that the file names, seen from the file's own folder."""
        return ((self.folder or Path()) / Path(relative).expanduser()).resolve()


def _attribute_docstrings(cls: type) -> dict[str, str]:
    """What stands below the annotated attributes of a class, from its source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    body = next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return {
        attribute.target.id: inspect.cleandoc(below.value.value)
        for attribute, below in pairwise(body)
        if isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(below.value.value, str)
    }
