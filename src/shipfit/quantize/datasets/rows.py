"""From a row to a document: which columns count, and what they must hold.

| columns | becomes |
|---|---|
| ``messages`` | a conversation |
| ``prompt`` and ``completion`` | a conversation of one question and one answer |
| ``text`` | text |

The first of these that a row has; other columns are not read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from shipfit.core.errors import InputError
from shipfit.quantize.datasets.model import Document

_SHAPES = (("messages",), ("prompt", "completion"), ("text",))
_ROLES = ("system", "developer", "user", "assistant", "tool")


def columns_read(columns: Collection[str], where: str) -> tuple[str, ...]:
    """The columns that are read, of those that there are.

    Raises:
        InputError: none of them holds text; names them.
    """
    for shape in _SHAPES:
        if all(column in columns for column in shape):
            return shape
    raise InputError(
        f"has no column text, no prompt and completion, no messages; its columns: {_listed(columns)}",
        hint="rename the column that holds the text to text",
        where=where,
    )


def as_document(row: Any, where: str) -> Document | None:
    """The document of a row, with nothing in it but what counts; None for one without any text.

    Raises:
        InputError: the row has none of the columns, or a value is not what the column must hold.
    """
    if not isinstance(row, Mapping):
        raise InputError("is not a JSON object", hint='write {"text": "..."}', where=where)
    shape = columns_read(row.keys(), where)
    if shape == ("messages",):
        return {"messages": _messages(row["messages"], where)}
    document = {column: _string(row[column], column, where) for column in shape}
    return document if all(value.strip() for value in document.values()) else None


def _messages(value: Any, where: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise InputError(f"messages is {_shown(value)}, not a list of messages", where=where)
    return [_message(each, f"message {number}", where) for number, each in enumerate(value, 1)]


def _message(value: Any, name: str, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not {"role", "content"} <= value.keys():
        has = f"has {_listed(value.keys())}" if isinstance(value, Mapping) else f"is {_shown(value)}"
        raise InputError(f"{name} {has}, not role and content", where=where)
    if value["role"] not in _ROLES:
        raise InputError(
            f"{name} has the role {_shown(value['role'])}",
            hint=f"there are: {', '.join(_ROLES)}",
            where=where,
        )
    return {"role": value["role"], "content": _string(value["content"], f"content of {name}", where)}


def _string(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is not a string but {_shown(value)}", where=where)
    if "\0" in value:
        raise InputError(f"{name} holds a NUL character, so it is no text", hint="take it out", where=where)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        lone = f"U+{ord(value[error.start]):04X}"
        raise InputError(f"{name} holds {lone}, half a character", hint="take it out", where=where) from None
    return value


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)[:40]


def _listed(columns: Collection[str]) -> str:
    names = [str(column)[:40] for column in columns]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") if names else "none"
