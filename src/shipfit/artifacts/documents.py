"""Reading a stored document, refusing what is damaged or of another version."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import ValidationError

from shipfit.artifacts.manifest import SCHEMA_VERSION
from shipfit.core.errors import EnvironmentFailure
from shipfit.spec.base import Section

D = TypeVar("D", bound=Section)


def read_document(content: bytes, kind: type[D], what: str, label: str) -> D:
    """The document in ``content``.

    Args:
        what: what it is, as "the manifest of demo".
        label: what to call the store.

    Raises:
        EnvironmentFailure: it is damaged, or of a version that this shipfit does not know.
    """
    try:
        values = json.loads(content)
        version = values["schema_version"]
    except (ValueError, KeyError, TypeError):
        raise EnvironmentFailure(f"{label}: {what} is damaged: it is not the JSON that was written") from None
    if version != SCHEMA_VERSION:
        raise EnvironmentFailure(
            f"{label}: {what} has schema version {version}, and this shipfit knows {SCHEMA_VERSION}",
            hint="use the shipfit that wrote it, or a newer one",
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise EnvironmentFailure(f"{label}: {what} is refused: {field}: {first['msg']}") from None
