"""Texts that shipfit brings: four public-domain English texts of the Canterbury corpus.

They lie in the source archive of brotli (``tests/testdata``), which is locked by its hash, fetched as the environment
of the bundled model is built, and never copied into the repository.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import Progress
from shipfit.environments import ensure

BUNDLED_TEXTS = {
    "alice29": "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0",
    "asyoulik": "eaa3526fe53859f34ecdf255712f9ecf0b2c903451d4755b2edaa2e2599cb0fc",
    "lcet10": "5314ba1dbb03f471df88bec6cd120a938ef60d0fd3511c5c1dce61bf7463245f",
    "plrabn12": "07e2e0b461af78c7c647cb53dab39de560198e16f799b4516eccf0fbd69f764c",
}
"""Names of ``bundled:NAME`` and the SHA-256 of each, as in the archive of brotli 1.2.1."""


def bundled_text(name: str, progress: Progress) -> Path:
    """A text that shipfit brings, as a file.

    Args:
        name: one of BUNDLED_TEXTS.
        progress: told of the environment's build.

    Raises:
        EnvironmentFailure: the package index is out of reach, or the text is not what it should be.
    """
    environment = ensure("bundled", progress=progress)
    path = environment.prefix / "share" / "texts" / f"{name}.txt"
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != BUNDLED_TEXTS[name]:
        raise EnvironmentFailure(
            f"{path} is not the text that shipfit was made with",
            hint=f"remove {environment.prefix}; it is built again",
        )
    return path
