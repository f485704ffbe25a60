"""Texts that shipfit brings: four public-domain English texts of the Canterbury corpus.

They lie in the source archive of brotli (``tests/testdata``), which is locked by its hash, fetched on first use, and
never copied into the repository.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path

from shipfit.core import locks, process
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.paths import cache_dir, write_atomically
from shipfit.core.progress import Progress
from shipfit.environments import declaration, ensure

BUNDLED_TEXTS = {
    "alice29": "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0",
    "asyoulik": "eaa3526fe53859f34ecdf255712f9ecf0b2c903451d4755b2edaa2e2599cb0fc",
    "lcet10": "5314ba1dbb03f471df88bec6cd120a938ef60d0fd3511c5c1dce61bf7463245f",
    "plrabn12": "07e2e0b461af78c7c647cb53dab39de560198e16f799b4516eccf0fbd69f764c",
}
"""Names of ``bundled:NAME`` and the SHA-256 of each, as in the archive of brotli 1.2.1."""


def bundled_text(name: str, progress: Progress) -> Path:
    """A text that shipfit brings, as a file; the archive is fetched on first use.

    Args:
        name: one of BUNDLED_TEXTS.
        progress: told of the download.

    Raises:
        EnvironmentFailure: the package index is out of reach, or the archive is not what it should be.
    """
    folder = cache_dir("texts")
    path = folder / f"{name}.txt"
    if not _is_right(path, name):
        with locks.exclusive(folder / "bundled.lock"):
            if not _is_right(path, name):
                _fetch(folder, progress)
    return path


def _is_right(path: Path, name: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == BUNDLED_TEXTS[name]


def _fetch(folder: Path, progress: Progress) -> None:
    environment = ensure("bundled", progress=progress)
    lock = declaration("bundled").folder / "sources.lock"
    doing = "fetching the bundled texts"
    with progress.step(doing), tempfile.TemporaryDirectory(dir=folder) as scratch:
        # pip makes an archive's metadata even when it only downloads it: without isolation, from what is here.
        command: list[str | Path] = [environment.python, "-m", "pip", "download", "--no-deps"]
        command += ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        command += ["--requirement", lock, "--dest", scratch]
        process.run(command, doing=doing, log=cache_dir("logs") / "bundled-texts.log")
        (archive,) = Path(scratch).iterdir()
        for name, content in _read_archive(archive).items():
            write_atomically(folder / f"{name}.txt", content)


def _read_archive(path: Path) -> dict[str, bytes]:
    texts = {}
    with tarfile.open(path) as archive:
        root = archive.getnames()[0].partition("/")[0]
        for name, digest in BUNDLED_TEXTS.items():
            member = archive.extractfile(f"{root}/tests/testdata/{name}.txt")
            content = member.read() if member else b""
            if hashlib.sha256(content).hexdigest() != digest:
                raise EnvironmentFailure(
                    f"{name}.txt in {path.name} is not the text that shipfit was made with"
                )
            texts[name] = content
    return texts
