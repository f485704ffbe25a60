"""A source in object storage is fetched as what it was when it was named, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.progress import NoProgress
from shipfit.models import fetch
from shipfit.models.reference import parse


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_a_model_that_was_replaced_is_not_taken_for_the_one_before(bucket: Path) -> None:
    reference = parse(bucket.as_uri())
    before = fetch.revision_of(reference, NoProgress())
    (bucket / "config.json").write_text('{"another": "model"}')
    with pytest.raises(EnvironmentFailure, match="has changed since this run began; run it again"):
        fetch.folder_of(reference, before, NoProgress())
    now = fetch.revision_of(reference, NoProgress())
    assert now != before
    folder = fetch.folder_of(reference, now, NoProgress())
    assert (folder / "config.json").read_text() == '{"another": "model"}'

    (bucket / "config.json").write_text("{}")
    assert folder == fetch.folder_of(reference, now, NoProgress())  # it is here, whatever is there by now


def test_a_model_that_is_replaced_as_it_comes_is_refused(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = parse(bucket.as_uri())
    revision = fetch.revision_of(reference, NoProgress())
    copy = fetch._copy

    def copy_while_it_is_replaced(*arguments: object) -> None:
        copy(*arguments)  # type: ignore[arg-type]
        (bucket / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(fetch, "_copy", copy_while_it_is_replaced)
    with pytest.raises(EnvironmentFailure, match="has changed since this run began"):
        fetch.folder_of(reference, revision, NoProgress())
    assert [] == [path for path in (bucket.parent / "cache" / "models").iterdir() if path.suffix != ".lock"]
