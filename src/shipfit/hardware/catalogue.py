"""The catalogue of GPUs: shipfit's own file, the user's beside it, and this machine's processor."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

from shipfit.core.data import read_yaml
from shipfit.core.errors import InputError
from shipfit.core.paths import config_dir
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
    """A kind of GPU by its name or its GPU-feature-discovery label; ``cpu`` for this machine's processor.

    Raises:
        InputError: there is none; names the nearest.
    """
    if name == CPU:
        from shipfit.hardware.cpu import processor

        return processor()
    known = _by_name()
    if name in known:
        return known[name]
    spellings = {
        _plain(word): each for each in known.values() for word in (each.name, each.label or each.name)
    }
    found = spellings.get(_plain(name))
    if found is None:
        near = [word for word in spellings if _plain(name) in word]
        near = near or difflib.get_close_matches(_plain(name), spellings, n=1, cutoff=0.4)
        names = list(dict.fromkeys(spellings[word].name for word in near))
        hint = f"did you mean {' or '.join(names)}?" if names else "shipfit gpus lists those there are"
        raise InputError(f"no GPU is called {name!r}", hint=hint)
    return found


@cache
def _by_name() -> dict[str, Gpu]:
    own = GpuCatalogue.model_validate(read_yaml(_OWN))
    known = {each.name: each for each in own.gpus}
    users = config_dir() / "gpus.yaml"
    if users.exists():
        known |= {each.name: each for each in load(users, GpuCatalogue).gpus}
    return known


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")
