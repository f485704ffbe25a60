"""Where a source lies: from what a spec names to the files that are read.

| source | place |
|---|---|
| ``bundled:NAME`` | one of the texts that shipfit brings |
| ``hf:OWNER/NAME``, ``hf:OWNER/NAME@REVISION`` | a repository of datasets on Hugging Face |
| ``s3://``, ``gs://``, ``az://``, ``file://`` | a file in object storage, or the folder below a prefix |
| anything else | a file or folder on this machine, seen from the spec's folder |

A folder or repository is one that ``datasets`` saved, or its files are chosen as on Hugging Face.
"""

from __future__ import annotations

import re
from pathlib import Path

from shipfit.core.errors import InputError, from_os_error
from shipfit.core.progress import Progress
from shipfit.quantize.datasets import bucket, hub
from shipfit.quantize.datasets.folders import choose, require_readable, require_some, require_whole
from shipfit.quantize.datasets.model import Source
from shipfit.quantize.texts import BUNDLED_TEXTS, bundled_text
from shipfit.spec import Pipeline, TextSource

_HUB = re.compile(r"^hf:(?P<name>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?$")


def identity(pipeline: Pipeline, wanted: TextSource) -> tuple[str | None, ...]:
    """What tells a source from every other."""
    text = wanted.source
    elsewhere = text.startswith(("bundled:", "hf:")) or "://" in text
    where = text.rstrip("/") if elsewhere else str(pipeline.resolve(text))
    return where, wanted.subset, wanted.split


def find(pipeline: Pipeline, wanted: TextSource, progress: Progress) -> Source:
    """Find a source; its files are fetched when they are read.

    Raises:
        InputError: there is no such source, or nothing in it that can be read.
        EnvironmentFailure: it is out of reach or may not be read.
    """
    text = wanted.source
    if text.startswith("bundled:"):
        return _bundled(wanted, progress)
    if text.startswith("hf:"):
        if not (match := _HUB.match(text)):
            raise InputError(f"{text!r} is no dataset on Hugging Face", hint="write hf:OWNER/NAME")
        return hub.find(match["name"], match["revision"], wanted, progress)
    if "://" in text:
        return bucket.find(text, wanted, progress)
    return _local(pipeline.resolve(text), wanted)


def _bundled(wanted: TextSource, progress: Progress) -> Source:
    name = wanted.source.removeprefix("bundled:")
    if name not in BUNDLED_TEXTS:
        raise InputError(f"no bundled text is called {name!r}", hint=f"there are: {', '.join(BUNDLED_TEXTS)}")
    require_whole(wanted)
    return Source(wanted.source, (wanted.source,), lambda _name: bundled_text(name, progress))


def _local(path: Path, wanted: TextSource) -> Source:
    try:
        if not path.exists():
            raise InputError(f"there is no file or folder {path}", hint="mend the path")
        if not path.is_dir():
            require_readable(path.name, wanted)
            return Source(str(path), (path.name,), lambda _name: path)
        names = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
    except OSError as error:
        raise from_os_error(error, "looking for a dataset") from error
    chosen = choose(names, lambda name: path / name, wanted)
    require_some(names, chosen, str(path))
    return Source(str(path), chosen, lambda name: path / name)
