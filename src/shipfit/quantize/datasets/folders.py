"""Which files of a folder are read: of a folder here, below a prefix or in a repository."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from shipfit.core.errors import InputError
from shipfit.quantize.datasets.formats import READABLE, kind_of
from shipfit.quantize.datasets.splits import Configs, choose_files
from shipfit.spec import TextSource


def choose(names: Sequence[str], fetch: Callable[[str], Path], wanted: TextSource) -> tuple[str, ...]:
    """The files of a folder or repository that hold what is wanted; none where nothing can be read.

    Raises:
        InputError: there is no such subset or split, or what describes the folder is damaged.
    """
    saved = _saved(names, fetch, wanted.split)
    return saved or choose_files(names, _configs(names, fetch), wanted.subset, wanted.split)


def require_some(names: Sequence[str], chosen: Sequence[str], what: str) -> None:
    """Refuse a place that holds no file that can be read.

    Raises:
        InputError: ``chosen`` is empty; says what there is.
    """
    if not chosen:
        seen = ", ".join(list(names)[:5]) or "nothing"
        raise InputError(f"{what} holds no file that can be read, but {seen}", hint=f"files: {READABLE}")


def require_readable(name: str, wanted: TextSource) -> None:
    """Refuse a file that is of no kind that can be read, or of which a part is asked for.

    Raises:
        InputError: it is.
    """
    if kind_of(name) is None:
        raise InputError(
            f"{wanted.source!r} is no kind of text that shipfit reads",
            hint=f"name {READABLE}, or bundled:NAME",
        )
    require_whole(wanted)


def require_whole(wanted: TextSource) -> None:
    """Refuse to take a part of one file.

    Raises:
        InputError: a subset or split is asked for.
    """
    if wanted.subset or wanted.split != "train":
        raise InputError(
            f"{wanted.source!r} is one file, without subsets and splits", hint="leave subset and split out"
        )


def _saved(names: Sequence[str], fetch: Callable[[str], Path], split: str) -> tuple[str, ...]:
    """The Arrow files of a dataset that ``datasets.save_to_disk`` wrote; none where it is no such folder."""
    folder = ""
    if "dataset_dict.json" in names:
        splits = [str(each) for each in _description(fetch("dataset_dict.json"), "splits")]
        if split not in splits:
            raise InputError(f"has no split {split!r}", hint=f"there are: {', '.join(splits)}")
        folder = f"{split}/"
    state = f"{folder}state.json"
    if state not in names or f"{folder}dataset_info.json" not in names:
        return ()
    return tuple(f"{folder}{each['filename']}" for each in _description(fetch(state), "_data_files"))


def _description(path: Path, key: str) -> list:  # type: ignore[type-arg]
    try:
        return list(json.loads(path.read_bytes())[key])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"is not what datasets writes: {error}", hint="save the dataset again", where=str(path)
        ) from error


def _configs(names: Sequence[str], fetch: Callable[[str], Path]) -> Configs:
    """``configs`` of the README's metadata; empty where it has none."""
    if "README.md" not in names:
        return ()
    from huggingface_hub import metadata_load

    path = fetch("README.md")
    try:
        configs = (metadata_load(path) or {}).get("configs")
    except Exception as error:  # YAML's own, and ValueError where the metadata is no mapping
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"has damaged metadata: {reason}", hint="mend the README", where=str(path)
        ) from error
    if not isinstance(configs, list):
        return ()
    return [config for config in configs if isinstance(config, dict)]
