from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.models import parse


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("bundled:gemma-3-270m", "bundled", "gemma-3-270m"),
        ("meta-llama/Llama-3.1-8B", "hub", "meta-llama/Llama-3.1-8B"),
        ("meta-llama/Llama-3.1-8B@main", "hub", "meta-llama/Llama-3.1-8B"),
        ("./model", "local", "model"),
        ("s3://bucket/path/model/", "store", "model"),
    ],
)
def test_each_form_is_told_from_the_others(text: str, kind: str, name: str) -> None:
    reference = parse(text)
    assert (kind, name) == (reference.kind, reference.name)


def test_a_revision_follows_the_at_sign() -> None:
    assert parse("org/name@v1.2").revision == "v1.2"
    assert parse("org/name").revision is None


def test_a_relative_folder_is_seen_from_its_file(tmp_path: Path) -> None:
    assert parse("../model", tmp_path / "deploy").path == tmp_path / "model"


@pytest.mark.parametrize(
    "text", ["", "llama", "bundled:", "bundled:../x", "a/b/c", "s3://", "org/name@", "org/na me"]
)
def test_anything_else_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(InputError, match="is no reference to a model; write org/name"):
        parse(text)
