"""Fetches the texts that shipfit brings: run with the environment's own Python once its packages are there.

Usage: ``python build.py PREFIX``. They are those of the Canterbury corpus in brotli's source archive, locked by hash
in ``sources.lock``; in the end ``PREFIX/share/texts`` holds them.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

TEXTS = ("alice29", "asyoulik", "lcet10", "plrabn12")


def main(prefix: Path) -> None:
    """Put the texts below ``prefix``."""
    print("fetching the bundled texts", flush=True)  # noqa: T201 - progress
    folder = prefix / "share" / "texts"
    folder.mkdir(parents=True)
    wanted = {f"tests/testdata/{name}.txt" for name in TEXTS}
    with tempfile.TemporaryDirectory(dir=prefix) as scratch, tarfile.open(fetch(Path(scratch))) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if str(PurePosixPath(*path.parts[1:])) in wanted and (content := archive.extractfile(member)):
                (folder / path.name).write_bytes(content.read())


def fetch(scratch: Path) -> Path:
    """Download the locked archive."""
    # pip makes an archive's metadata even when it only downloads it: without isolation, from what is here.
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    pip += ["--no-build-isolation", "--require-hashes"]
    lock = Path(__file__).with_name("sources.lock")
    code = subprocess.run([*pip, "--requirement", lock, "--dest", scratch], check=False).returncode
    if code:
        sys.exit(f"error: pip ended with code {code}")
    (archive,) = scratch.iterdir()
    return archive


if __name__ == "__main__":
    main(Path(sys.argv[1]))
