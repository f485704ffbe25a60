"""``shipfit schema``: JSON Schemas of the files that users write."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def schema(kind: Annotated[str, typer.Argument(help="deployment or pipeline.")]) -> None:
    """Print the JSON Schema of a kind of spec, so that editors complete it.

    Example: shipfit schema deployment > deployment.schema.json
    """
    from shipfit.spec import json_schema

    typer.echo(json.dumps(json_schema(kind), indent=2))
