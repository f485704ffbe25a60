"""What stands behind ``model:`` in a spec: a bundled model, a folder, a Hugging Face repository, an object store.

| text | kind |
|---|---|
| ``bundled:NAME`` | bundled: a model that shipfit brings |
| ``./path``, ``../path``, ``/path``, ``~/path`` | local: a folder with a ``config.json``, seen from the spec's folder |
| ``s3://``, ``gs://``, ``az://``, ``https://``, ``file://`` | store: a folder in object storage |
| ``org/name`` or ``org/name@revision`` | hub: a repository on Hugging Face |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shipfit.core.errors import InputError

Kind = Literal["bundled", "local", "hub", "store"]

_HUB = re.compile(r"^(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?$")
_BUNDLED = re.compile(r"^[\w][\w.-]*$")
_STORES = (
    "s3://",
    "s3a://",
    "gs://",
    "az://",
    "azure://",
    "abfs://",
    "abfss://",
    "https://",
    "http://",
    "file://",
)


@dataclass(frozen=True)
class ModelReference:
    """A model that a user named.

    Attributes:
        kind: where it lies.
        text: what the user wrote.
        name: ``org/name`` on the hub, the bundled model's name, the folder's name elsewhere.
        revision: branch, tag or commit on the hub; None for the newest.
        path: the folder, for ``local``.
        url: the address without a slash at its end, for ``store``.
    """

    kind: Kind
    text: str
    name: str
    revision: str | None = None
    path: Path | None = None
    url: str | None = None


def parse(text: str, base: Path | None = None) -> ModelReference:
    """Understand what a user named; nothing is opened yet.

    Args:
        text: as in a spec's ``model``.
        base: the folder that a relative path is seen from; the working folder by default.

    Raises:
        InputError: it is none of the forms.
    """
    if text.startswith("bundled:"):
        name = text.removeprefix("bundled:")
        if _BUNDLED.match(name):
            return ModelReference("bundled", text, name)
    elif text.startswith(_STORES):
        url = text.rstrip("/")
        scheme, _, rest = url.partition("://")
        if rest.strip("/"):
            return ModelReference("store", text, rest.rsplit("/", 1)[-1], url=f"{scheme}://{rest}")
    elif text.startswith(("/", "./", "../", "~")) or text in (".", ".."):
        path = ((base or Path()) / Path(text).expanduser()).resolve()
        return ModelReference("local", text, path.name, path=path)
    elif match := _HUB.match(text):
        return ModelReference("hub", text, match["repo"], revision=match["revision"])
    raise InputError(
        f"model {text!r} is no reference to a model",
        hint="write org/name (Hugging Face), ./folder, s3://bucket/path or bundled:gemma-3-270m",
    )
