from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shipfit.artifacts import Channel, FileEntry, Move
from shipfit.artifacts.manifest import is_safe_path

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "path",
    [
        "../config.json",
        "/etc/passwd",
        "a/../b",
        "a//b",
        ".hidden",
        "a/.parts/b",
        "a\\b",
        "",
        "a/",
        "a\n",
        "C:x",
        "%2e",
    ],
)
def test_a_path_that_leaves_the_folder_or_hides_is_refused(path: str) -> None:
    assert not is_safe_path(path)
    with pytest.raises(ValidationError):
        FileEntry(path=path, bytes=1, sha256="a" * 64)


@pytest.mark.parametrize(
    "path", ["config.json", "a/b-1.safetensors", "model-00001-of-00002.safetensors", "_x/y+z@1"]
)
def test_a_plain_path_is_accepted(path: str) -> None:
    assert is_safe_path(path)
    assert path == FileEntry(path=path, bytes=0, sha256="a" * 64).path


@given(st.text(max_size=30))
def test_both_ways_of_checking_a_path_agree(path: str) -> None:
    try:
        FileEntry(path=path, bytes=0, sha256="a" * 64)
    except ValidationError:
        assert not is_safe_path(path)
    else:
        assert is_safe_path(path)


def _channel(*moves: tuple[str, str]) -> Channel:
    made = [Move(action=action, fingerprint=letter * 64, at=NOW) for action, letter in moves]
    return Channel(schema_version=1, name="demo", channel="stable", moves=made)


@pytest.mark.parametrize(
    ("moves", "previous"),
    [
        ([("promote", "a")], None),
        ([("promote", "a"), ("promote", "b")], "a"),
        ([("promote", "a"), ("promote", "b"), ("rollback", "a")], None),
        ([("promote", "a"), ("promote", "b"), ("promote", "c"), ("rollback", "b")], "a"),
        ([("promote", "a"), ("promote", "b"), ("rollback", "a"), ("promote", "c")], "a"),
    ],
)
def test_a_rollback_takes_back_the_latest_promotion_that_stands(
    moves: list[tuple[str, str]], previous: str | None
) -> None:
    assert _channel(*moves).previous == (previous and previous * 64)
