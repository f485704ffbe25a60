"""The catalogue of GPUs: shipfit's own file, the user's beside it, and this machine's processor."""

from __future__ import annotations

import difflib
import math
from functools import cache
from pathlib import Path

from shipfit.core.data import read_yaml
from shipfit.core.errors import InputError
from shipfit.core.paths import config_dir
from shipfit.hardware import names
from shipfit.hardware.gpu import Gpu, GpuCatalogue
from shipfit.spec import load

_OWN = Path(__file__).with_name("gpus.yaml")

CPU = "cpu"
"""The name of this machine's processor."""


def gpus() -> list[Gpu]:
    """Every kind of GPU that shipfit knows: its own, then the user's, which replace those of the same name.

    Raises:
        InputError: the user's file is wrong; names its line and field.
    """
    return list(_by_name().values())


def gpu(name: str) -> Gpu:
    """A kind of GPU by its name, its node label or a common spelling; ``cpu`` for this machine's processor.

    A short name that fits several, such as ``H100``, means the first of them in the catalogue. A MIG profile follows
    after a colon (``A100-SXM4-80GB:3g.40gb``) or as in the label (``NVIDIA-A100-SXM4-80GB-MIG-3g.40gb``).

    Raises:
        InputError: there is none; names the nearest.
    """
    if name == CPU:
        from shipfit.hardware.cpu import processor

        return processor()
    base, profile = names.split_profile(name)
    found = _by_name().get(base) or _by_words().get(names.words(base))
    if found is None:
        raise InputError(f"no GPU is called {name!r}", hint=_nearest(base))
    if profile is None:
        return found
    if profile not in found.mig:
        there = f"it has {', '.join(found.mig)}" if found.mig else "it cannot be divided by MIG"
        raise InputError(f"{found.name} has no MIG profile {profile}", hint=there)
    return found.partition(profile)


def anonymous(memory_gib: float) -> Gpu:
    """A GPU of which only the memory is known: good for the figures of memory, not for those of speed.

    Everything else is taken from the stand-in that is nearest in memory, since vLLM's defaults go by memory too.

    Args:
        memory_gib: GiB that one process can use.

    Raises:
        InputError: the memory is not a sensible figure.
    """
    if not 0 < memory_gib <= 4096:
        raise InputError(f"{memory_gib:g} GiB is no GPU's memory", hint="give GiB that one process can use")
    known = [_by_name()[name] for name in _catalogue().stand_ins]
    near = min(known, key=lambda each: abs(math.log(each.memory_gib / memory_gib)))
    return near.model_copy(
        update={
            "name": f"gpu-{memory_gib:g}gib",
            "label": None,
            "aliases": (),
            "memory_gb": memory_gib,
            "usable_gib": memory_gib,
            "usable_source": "given",
            "mig": {},
            "source": f"only its memory was given; all else is {near.name}'s",
            "anonymous": True,
        }
    )


def _nearest(name: str) -> str:
    """Those whose names have all of the words, else the one that is spelled most alike."""
    asked, known = names.words(name), _by_words()
    near = [found for each, found in known.items() if asked and asked <= each]
    if not near:
        spelled = {" ".join(sorted(each)): found for each, found in known.items()}
        close = difflib.get_close_matches(" ".join(sorted(asked)), spelled, n=1, cutoff=0.6)
        near = [spelled[each] for each in close]
    found = dict.fromkeys(each.name for each in near)
    return f"did you mean {' or '.join(found)}?" if found else "shipfit gpus lists those there are"


@cache
def _catalogue() -> GpuCatalogue:
    return GpuCatalogue.model_validate(read_yaml(_OWN))


@cache
def _by_name() -> dict[str, Gpu]:
    known = {each.name: each for each in _catalogue().gpus}
    users = config_dir() / "gpus.yaml"
    if users.exists():
        known |= {each.name: each for each in load(users, GpuCatalogue).gpus}
    return known


@cache
def _by_words() -> dict[names.Words, Gpu]:
    return names.index(_by_name().values())
