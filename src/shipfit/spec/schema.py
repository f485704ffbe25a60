"""JSON Schemas of the specs, so that editors complete the YAML files."""

from __future__ import annotations

from typing import Any

from shipfit.core.errors import InputError
from shipfit.spec.base import Document
from shipfit.spec.deployment import Deployment
from shipfit.spec.pipeline import Pipeline

KINDS: dict[str, type[Document]] = {"deployment": Deployment, "pipeline": Pipeline}
"""The kinds of spec by the name that ``shipfit schema`` takes."""


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a kind of spec.

    Raises:
        InputError: no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"no spec is of kind {kind!r}", hint=f"there are: {', '.join(KINDS)}")
    schema = KINDS[kind].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
