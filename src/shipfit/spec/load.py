"""Reading a spec from YAML, with errors that name file, line, field, and the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from shipfit.core.errors import InputError
from shipfit.spec.base import API_VERSION, Document

D = TypeVar("D", bound=Document)

_MAX_BYTES = 2**20  # a spec is a page of text; anything larger is another file named by mistake


def load(path: Path, kind: type[D]) -> D:
    """Read a spec.

    Args:
        path: a YAML file.
        kind: ``Deployment`` or ``Pipeline``.

    Raises:
        InputError: the file is missing, not YAML, of another kind or version, or a field is wrong. The message
            names file, line and field; where several fields are wrong, it names the first and counts the others.
    """
    text = _read(path)
    node = _compose(path, text)
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise _yaml_error(path, error) from error
    if not isinstance(values, dict):
        raise InputError(
            "is not a mapping", hint=f"begin it with apiVersion: {API_VERSION}", where=f"{path}:1"
        )
    _check_header(path, node, values, kind.__name__)
    try:
        document = kind.model_validate(values)
    except ValidationError as error:
        raise _explain(path, node, kind, error) from None
    document._path = path.absolute()  # noqa: SLF001 - set once, by the reader
    return document


def locate(document: Document, *location: str | int) -> str | None:
    """Where in its file a field of a spec stands, as ``file:line``; None for a spec that was not read from a file."""
    if document.path is None:
        return None
    node = _compose(document.path, _read(document.path))
    return f"{document.path}:{_line(node, location)}"


@contextmanager
def blame(document: Document, *location: str | int) -> Iterator[None]:
    """Let an InputError raised inside, which knows only the value, name the file, line and field it came from."""
    try:
        yield
    except InputError as error:
        if error.where:  # it knows better: another file is wrong
            raise
        where = locate(document, *location)
        raise InputError(error.message, hint=error.hint, where=where, field=_dotted(location)) from error


class _Loader(yaml.SafeLoader):
    """The safe loader, refusing a key that stands twice: YAML would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} stands twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.glob("*.yaml")], n=1)
        hint = f"did you mean {path.parent / near[0]}?" if near else "check the path"
        raise InputError("there is no such file", hint=hint, where=str(path)) from None
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", hint="name a YAML file", where=str(path)
        ) from error
    if len(data) > _MAX_BYTES:
        raise InputError(
            f"is {len(data):,} bytes, which no spec is", hint="name a YAML file", where=str(path)
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError("is not UTF-8 text", hint="name a YAML file", where=f"{path}:{line}") from None


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _yaml_error(path, error) from error


def _yaml_error(path: Path, error: yaml.YAMLError) -> InputError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return InputError(f"is not valid YAML: {problem}", hint="mend that line", where=where)


def _check_header(path: Path, node: yaml.Node | None, values: dict[str, Any], kind: str) -> None:
    for key, expected in (("apiVersion", API_VERSION), ("kind", kind)):
        if values.get(key) != expected:
            where = f"{path}:{_line(node, (key,))}"
            found = f"is {values[key]!r}" if key in values else "is missing"
            raise InputError(found, hint=f"write {key}: {expected}", where=where, field=key)


def _explain(path: Path, node: yaml.Node | None, kind: type[BaseModel], error: ValidationError) -> InputError:
    details = error.errors(include_url=False)
    # An unknown key explains a missing one (a slip of the pen makes both), so it comes first.
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    first = details[0]
    location = tuple(part for part in first["loc"] if isinstance(part, str | int))
    message, hint = _describe(first, _known_keys(kind, location[:-1]))
    others = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return InputError(
        message + others, hint=hint, where=f"{path}:{_line(node, location)}", field=_dotted(location) or None
    )


def _describe(detail: Any, known: list[str]) -> tuple[str, str | None]:
    if detail["type"] == "extra_forbidden":
        wrong = str(detail["loc"][-1])
        near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
        return "is not a known key", f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    if detail["type"] == "missing":
        return "is missing", "add it"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"]), None
    if detail["type"] == "too_short":
        there, least = detail["ctx"]["actual_length"], detail["ctx"]["min_length"]
        return (f"has only {there}", f"name at least {least}") if there else ("is empty", "add at least one")
    given = repr(detail["input"])
    return f"{_lower(detail['msg'])}, not {given if len(given) < 80 else given[:77] + '...'}", None


def _lower(message: str) -> str:
    return message.replace("Input should be ", "must be ", 1) if message.startswith("Input") else message


def _known_keys(kind: Any, location: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand in the section at ``location``."""
    parts = iter(location)
    for part in parts:
        if isinstance(part, int):
            continue
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)) or part not in kind.model_fields:
            return []
        annotation = kind.model_fields[part].annotation
        if get_origin(annotation) is dict:
            next(parts, None)  # a key of the user's own
        kind = _section(annotation)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _section(annotation: Any) -> Any:
    """The model inside ``X``, ``X | None`` or ``list[X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_section(argument) for argument in get_args(annotation)]
    return next((item for item in found if item), None)


def _line(node: yaml.Node | None, location: tuple[str | int, ...]) -> int:
    """The line, from 1, of the innermost part of ``location`` that is in the file."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            match = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if match is None:
                return line
            line, node = match[0].start_mark.line + 1, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
