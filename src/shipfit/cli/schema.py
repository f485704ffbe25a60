"""``shipfit schema``: JSON Schemas of the documents that users write and that commands return."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Annotated, Any

import typer

# A kind of document and the pydantic model that defines it; imported when it is asked for.
DOCUMENTS = {
    "deployment": "shipfit.spec.deployment:Deployment",
    "pipeline": "shipfit.spec.pipeline:Pipeline",
    "policy": "shipfit.spec.policy:Policy",
    "pricelist": "shipfit.spec.prices:PriceList",
    "plan": "shipfit.sizing.planning.plan:Plan",
    "manifest": "shipfit.artifacts.manifest:Manifest",
    "channel": "shipfit.artifacts.manifest:Channel",
    "loadtestreport": "shipfit.loadtest.report:LoadTestReport",
}


def schema(kind: Annotated[str, typer.Argument(help=f"One of {', '.join(DOCUMENTS)}.")]) -> None:
    """Print the JSON Schema of a kind of document, so that editors complete and programs check it.

    Example: shipfit schema deployment > deployment.schema.json
    """
    from shipfit.core.errors import InputError

    if kind not in DOCUMENTS:
        raise InputError(f"no kind of document is called {kind!r}", hint=f"there are: {', '.join(DOCUMENTS)}")
    typer.echo(json.dumps(_schema(kind), indent=2))


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of every kind of document."""
    return {kind: _schema(kind) for kind in DOCUMENTS}


def _schema(kind: str) -> dict[str, Any]:
    module, _, name = DOCUMENTS[kind].partition(":")
    model = getattr(import_module(module), name)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
