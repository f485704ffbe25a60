"""What a task file of lm-evaluation-harness reads beside itself: questions, functions, other task files."""

from __future__ import annotations

from collections.abc import Iterator
from glob import iglob
from pathlib import Path
from typing import Any

import yaml

_LONGEST = 255
"""Bytes of a file's name on Linux: longer strings are templates."""


class _Loader(yaml.SafeLoader):
    """Knows the harness's ``!function module.name`` as the file that the function is in."""


_Loader.add_constructor("!function", lambda _, node: f"{str(node.value).partition('.')[0]}.py")


def files_of(task: Path) -> list[Path]:
    """The task file and every file that it names; what it names relative to itself begins with its own folder.

    Whatever reads like the path of a file, the pattern of several or a folder of them, and is there, counts: too much
    costs one more measurement, too little would pass an artifact by the answers to other questions.
    """
    found: dict[Path, None] = {}
    _follow(task, found)
    return sorted(found)


def _follow(path: Path, found: dict[Path, None]) -> None:
    if path in found:
        return
    found[path] = None
    if path.suffix in (".yaml", ".yml"):
        for text in _strings(_read(path)):
            for each in _there(path.parent, text):
                _follow(each, found)


def _read(path: Path) -> Any:
    """Its content; nothing where it is no YAML, which the harness will say."""
    try:
        return yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _there(folder: Path, text: str) -> Iterator[Path]:
    if "\n" in text or "\0" in text or len(text.encode()) > _LONGEST:
        return
    for name in iglob(text, root_dir=folder, recursive=True):  # noqa: PTH207 - it may be absolute
        path = folder / name
        if path.is_file():
            yield path
        elif path.resolve() not in folder.resolve().parents:  # "/" and ".." are no folders of questions
            yield from (each for each in path.rglob("*") if each.is_file())
