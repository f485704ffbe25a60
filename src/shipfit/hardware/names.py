"""The many ways to write a GPU's name, brought into one form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from shipfit.hardware.gpu import Gpu

Words = frozenset[str]

_NOISE = {
    *("nvidia", "amd", "intel", "google", "tesla", "geforce", "instinct", "accelerator"),
    *(
        "gpu",
        "gpus",
        "generation",
        "edition",
        "blackwell",
        "class",
        "shared",
        "hbm2",
        "hbm2e",
        "hbm3",
        "hbm3e",
    ),
    *("mega", "oam", "ac"),  # boards and variants that differ in nothing counted here
}
_FORM = {"sxm", "pcie", "nvl", "workstation", "server", "max", "q"}
_MEMORY = re.compile(r"\d+gb?")
_GENERATION = re.compile(r"^(sxm)\d$")
_MIG = re.compile(
    r"^(?P<gpu>.+?)[-:_ ]+(?:mig[-_ ])?(?P<profile>\d+g\.\d+gb)(?:[-_ ]shared)?$", re.IGNORECASE
)


def words(name: str) -> Words:
    """The words of a name that tell GPUs apart, in any order: ``NVIDIA-A100-80GB-PCIe`` is ``A100 PCIe 80 GB``."""
    plain = re.sub(r"(\d)\s+gb\b", r"\1gb", name.lower())
    plain = re.sub(r"\b(rtx|gtx)(?=[a-z]?\d)", r"\1 ", plain)
    found = (_GENERATION.sub(r"\1", word) for word in re.split(r"[^a-z0-9.+]+", plain) if word)
    return frozenset(word for word in found if word not in _NOISE)


def split_profile(name: str) -> tuple[str, str | None]:
    """A name and the MIG profile in it: ``A100-SXM4-80GB:3g.40gb``, or the label with ``-MIG-3g.40gb``."""
    found = _MIG.match(name)
    return (found["gpu"], found["profile"].lower()) if found else (name, None)


def index(gpus: Iterable[Gpu]) -> dict[Words, Gpu]:
    """GPUs by the words of every name that means them.

    Full names, labels and aliases come first, the last GPU of a name winning; then names that leave out memory, form
    or both, the first GPU winning: so the order of the catalogue says what ``H100`` alone means.

    Args:
        gpus: in the order of the catalogue.
    """
    listed = list(gpus)
    found = {words(name): gpu for gpu in listed for name in (gpu.name, gpu.label, *gpu.aliases) if name}
    for gpu in listed:
        for name in (gpu.name, gpu.label, *gpu.aliases):
            for short in _shorter(words(name or "")):
                found.setdefault(short, gpu)
    return found


def _shorter(full: Words) -> Iterator[Words]:
    """The words without memory, without form, without both; as long as anything is left."""
    memory = {word for word in full if _MEMORY.fullmatch(word)}
    form = full & _FORM
    for left in (full - memory, full - form, full - memory - form):
        if left:
            yield left
