"""Results of a pipeline's stages, kept in the store until the artifact is committed: any machine goes on from them."""

from __future__ import annotations

import json
from typing import Any

from shipfit.artifacts.layout import checkpoint_key
from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure


def checkpoint(objects: Objects, name: str, fingerprint: str, stage: str) -> dict[str, Any] | None:
    """What a stage of an earlier run led to; None if it did not end.

    Raises:
        EnvironmentFailure: the store failed, or what lies there is damaged.
    """
    value = objects.read(checkpoint_key(name, fingerprint, stage), f"reading the {stage} of {name}")
    if value is None:
        return None
    try:
        result = json.loads(value.content)
    except ValueError:
        result = None
    if not isinstance(result, dict):
        raise EnvironmentFailure(
            f"{objects.label}: the result of {stage} of {name} is damaged",
            hint=f"remove {checkpoint_key(name, fingerprint, stage)} and run the command again",
        )
    return result


def keep_checkpoint(
    objects: Objects, name: str, fingerprint: str, stage: str, result: dict[str, Any]
) -> None:
    """Keep what a stage led to; a later result takes the place of an earlier one.

    Raises:
        EnvironmentFailure: the store failed.
    """
    content = json.dumps(result, ensure_ascii=False).encode()
    objects.write(checkpoint_key(name, fingerprint, stage), content, f"keeping the {stage} of {name}")
