"""A source in object storage is fetched as what it was when it was named, or not at all."""

from __future__ import annotations

import shutil
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


def test_what_came_before_it_was_cut_off_is_not_asked_for_again(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "model.safetensors").write_bytes(b"0123456789")
    (bucket / "empty.txt").touch()
    reference, asked = parse(bucket.as_uri()), []
    revision, part = fetch.revision_of(reference, NoProgress()), fetch.StoreFiles.part

    def cut_off(self: fetch.StoreFiles, name: str, offset: int, length: int) -> bytes:
        if name == "model.safetensors":
            asked.append((offset, length))
            if len(asked) == 3:
                raise EnvironmentFailure("the network is gone")
        return part(self, name, offset, length)

    monkeypatch.setattr(fetch, "_PIECE", 4)
    monkeypatch.setattr(fetch.StoreFiles, "part", cut_off)
    with pytest.raises(EnvironmentFailure, match="the network is gone"):
        fetch.folder_of(reference, revision, NoProgress())
    folder = fetch.folder_of(reference, revision, NoProgress())
    assert [(0, 4), (4, 4), (8, 2), (8, 2)] == asked
    assert {each.name: each.read_bytes() for each in bucket.iterdir()} == {
        each.name: each.read_bytes() for each in folder.iterdir()
    }


def test_a_model_that_the_disk_has_no_room_for_is_refused_before_it_comes(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(bucket)._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    reference = parse(bucket.as_uri())
    with pytest.raises(
        EnvironmentFailure, match=r"tiny takes about .* set SHIPFIT_CACHE_DIR to another disk"
    ):
        fetch.folder_of(reference, fetch.revision_of(reference, NoProgress()), NoProgress())


def test_versions_of_one_model_do_not_share_a_place(bucket: Path) -> None:
    bucket = bucket.rename(bucket.with_name("tiny-1.5-chat"))
    other = shutil.copytree(bucket, bucket.with_name("tiny-1.5-base"))
    for each in (bucket, other):
        reference = parse(each.as_uri())
        fetch.folder_of(reference, fetch.revision_of(reference, NoProgress()), NoProgress())
    names = {path.name for path in (bucket.parent / "cache" / "models").iterdir()}
    assert 4 == len(names), names
