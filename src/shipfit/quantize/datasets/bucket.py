"""Datasets in object storage: copied into the cache, a file at a time, when it is read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from shipfit.artifacts.address import objects_at
from shipfit.artifacts.objects import Object, Objects
from shipfit.core import locks
from shipfit.core.errors import InputError, from_os_error
from shipfit.core.paths import cache_dir
from shipfit.core.progress import Progress
from shipfit.quantize.datasets.folders import choose, require_readable, require_some
from shipfit.quantize.datasets.formats import kind_of
from shipfit.quantize.datasets.model import Source
from shipfit.quantize.datasets.prune import prune
from shipfit.spec import TextSource

_DOING = "looking for a dataset"


def find(url: str, wanted: TextSource, progress: Progress) -> Source:
    """The files of a URL: the one that it names, or those below it.

    Raises:
        InputError: there is no such object, or none that can be read.
        EnvironmentFailure: the store is out of reach or does not allow it.
    """
    if kind_of(url):
        parent, _, name = url.rpartition("/")
        require_readable(name, wanted)
        objects = objects_at(parent)
        found = objects.find(name, _DOING)
        if found is None:
            raise InputError(f"there is no object {objects.label}/{name}", hint="mend the URL")
        return Source(url, (name,), lambda _name: _copy(objects, found, progress))
    objects = objects_at(url.rstrip("/"))
    listed = {each.key: each for each in objects.below("", _DOING)}

    def fetch(name: str) -> Path:
        return _copy(objects, listed[name], progress)

    chosen = choose(list(listed), fetch, wanted)
    require_some(list(listed), chosen, objects.label)
    return Source(url, chosen, fetch)


def _copy(objects: Objects, wanted: Object, progress: Progress) -> Path:
    """An object as a file in the cache; its place tells one state of it from another."""
    state = f"{objects.label}\n{wanted.key}\n{wanted.size}\n{wanted.changed.isoformat()}"
    folder = cache_dir("datasets", hashlib.sha256(state.encode()).hexdigest()[:32])
    path = folder / wanted.key.rpartition("/")[2]
    with locks.exclusive(folder / "lock"):
        if path.exists():
            os.utime(path)  # its last use
            return path
        unfinished = folder / "unfinished"
        doing = f"fetching {wanted.key}"
        done = 0
        try:
            with unfinished.open("wb") as stream:
                for chunk in objects.stream(wanted.key, 0, wanted.size, doing):
                    stream.write(chunk)
                    done += len(chunk)
                    progress.update(doing, done / max(wanted.size, 1))
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(path)
            prune(each for each in folder.parent.glob("*/*") if each.name != "lock")
        except FileNotFoundError:
            raise InputError(f"there is no object {objects.label}/{wanted.key} any more") from None
        except OSError as error:
            raise from_os_error(error, "fetching a dataset") from error
    return path
