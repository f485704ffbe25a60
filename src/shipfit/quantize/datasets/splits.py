"""Which files of a repository or folder hold a split, as Hugging Face's ``datasets`` decides it.

By the ``configs`` of the README, else by names: huggingface.co/docs/hub/datasets-manual-configuration and
huggingface.co/docs/hub/datasets-file-names-and-splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shipfit.core.errors import InputError
from shipfit.quantize.datasets.formats import KINDS, kind_of

_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SHARD = re.compile(r"(?:^|/)(?P<split>[\w.]+)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?\.\w+$")

Configs = Sequence[Mapping[str, Any]]


def choose_files(names: Iterable[str], configs: Configs, subset: str | None, split: str) -> tuple[str, ...]:
    """The files that hold a split of a subset; none where no file is of a kind that can be read.

    Args:
        names: every file, with ``/`` between folders.
        configs: ``configs`` of the README's metadata; empty where it has none.
        subset: the wanted one; None for the default.
        split: the wanted one.

    Raises:
        InputError: there is no such subset or split; names those that there are.
    """
    visible = sorted(name for name in names if not any(part[0] in "._" for part in name.split("/")))
    if configs:
        config = _config(configs, subset)
        folder = str(config.get("data_dir") or "").strip("/")
        inside = [name for name in visible if not folder or name.startswith(f"{folder}/")]
        if config.get("data_files"):
            return _configured(inside, folder, _patterns(config["data_files"]), split)
        return _of_split(_one_kind(inside), split)
    if subset:
        inside = [name for name in visible if subset in name.split("/")[:-1]]
        if not inside:
            folders = sorted({name.rpartition("/")[0].partition("/")[0] for name in visible if "/" in name})
            raise _none_such("subset", subset, folders)
        visible = inside
    return _of_split(_one_kind(visible), split)


def _config(configs: Configs, subset: str | None) -> Mapping[str, Any]:
    named = {str(config.get("config_name", "default")): config for config in configs}
    if subset:
        if subset not in named:
            raise _none_such("subset", subset, named)
        return named[subset]
    default = [config for config in configs if config.get("default")]
    if default:
        return default[0]
    if "default" in named or len(named) == 1:
        return named.get("default") or next(iter(named.values()))
    raise InputError(f"has several subsets: {', '.join(named)}", hint="name one with subset")


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """Patterns of each split, from any of the forms that ``data_files`` may take."""
    if isinstance(data_files, Mapping):
        return {str(split): _list(paths) for split, paths in data_files.items()}
    entries = _list(data_files)
    if all(isinstance(entry, Mapping) for entry in entries):
        return {str(entry.get("split", "train")): _list(entry.get("path")) for entry in entries}
    return {"train": entries}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _configured(
    names: Sequence[str], folder: str, patterns: Mapping[str, list[str]], split: str
) -> tuple[str, ...]:
    from fsspec.utils import glob_translate

    if split not in patterns:
        raise _none_such("split", split, patterns)
    found: dict[str, None] = {}
    for pattern in patterns[split]:
        whole = f"{folder}/{pattern}" if folder else str(pattern)
        matches = re.compile(glob_translate(whole.removeprefix("./"))).match
        found |= dict.fromkeys(name for name in names if matches(name))
    return tuple(_one_kind(found))


def _one_kind(names: Iterable[str]) -> list[str]:
    """The files of the first kind in the order of preference: repositories may hold the same rows in several."""
    kinds: dict[str | None, list[str]] = {}
    for name in names:
        kinds.setdefault(kind_of(name), []).append(name)
    return next((kinds[kind] for kind in KINDS if kind in kinds), [])


def _of_split(names: Sequence[str], split: str) -> tuple[str, ...]:
    splits = {name: _splits(name) for name in names}
    found = tuple(name for name in names if split in splits[name] or split in name.split("/")[:-1])
    known = sorted(set().union(*splits.values()))
    if found or not names:
        return found
    if known or split != "train":
        raise _none_such("split", split, known or ["train"])
    return tuple(names)


def _splits(name: str) -> set[str]:
    """The splits that a file's name or one of its folders says it belongs to."""
    if shard := _SHARD.search(name):
        return {shard["split"]}
    words = set(re.split(r"[-._ /0-9]+", name.lower()))
    return {split for split, keywords in _KEYWORDS.items() if words & set(keywords)}


def _none_such(what: str, wanted: str, known: Iterable[str]) -> InputError:
    listed = ", ".join(list(known)[:12])
    return InputError(
        f"has no {what} {wanted!r}", hint=f"there are: {listed}" if listed else f"leave {what} out"
    )
