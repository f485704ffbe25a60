"""Results of a pipeline's stages, kept in the store: any machine goes on from them.

Those of an artifact that is not committed yet lie with the work on it and go with that; what is measured of it later
stays beside its manifest.
"""

from __future__ import annotations

import json
from typing import Any

from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure


def read_result(objects: Objects, key: str, what: str) -> dict[str, Any] | None:
    """What a stage of an earlier run led to; None if it did not end.

    Args:
        key: where it is kept.
        what: it is, for error lines: "the structure of demo".

    Raises:
        EnvironmentFailure: the store failed, or what lies there is damaged.
    """
    value = objects.read(key, f"reading {what}")
    if value is None:
        return None
    try:
        result = json.loads(value.content)
    except ValueError:
        result = None
    if not isinstance(result, dict):
        raise EnvironmentFailure(
            f"{objects.label}: the result of {what} is damaged",
            hint=f"remove {key} and run the command again",
        )
    return result


def keep_result(objects: Objects, key: str, what: str, result: dict[str, Any]) -> None:
    """Keep what a stage led to; a later result takes the place of an earlier one.

    Raises:
        EnvironmentFailure: the store failed.
    """
    objects.write(key, json.dumps(result, ensure_ascii=False).encode(), f"keeping {what}")
