"""What the source model answered, kept for every recipe and every later run.

One JSON file each in the folder of baselines, named by a hash of all that the answer depends on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class Kept:
    """One answer of the source model; ``read`` gives None until it is kept.

    Args:
        baselines: the folder; made if it is not there.
        kind: the measurement that it belongs to.
        determines: all that the answer depends on; JSON-compatible.
    """

    def __init__(self, baselines: str, kind: str, determines: Mapping[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:32]
        self._path = Path(baselines) / f"{kind}-{key}.json"

    def read(self) -> Any:
        """What was kept; None where nothing was, or not all of it."""
        with suppress(FileNotFoundError, ValueError):
            return json.loads(self._path.read_bytes())
        return None

    def keep(self, answer: Any) -> None:
        """Write it so that nobody ever reads a part."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=self._path.parent, suffix=".unfinished", delete=False
        ) as stream:
            json.dump(answer, stream)
        Path(stream.name).replace(self._path)
