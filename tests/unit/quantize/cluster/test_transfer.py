"""Files that a node lacks: what is carried arrives whole, and what differs is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.artifacts import Dataset, Engine, GateResult, ManifestDraft, Source, Staged, open_store
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress
from shipfit.quantize.cluster import transfer
from shipfit.quantize.cluster.transfer import FromStore, ToStore, carried, model


def test_a_file_and_a_folder_are_carried(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "parts" / "a.bin").write_bytes(b"\0\1")
    for source in (folder, folder / "config.json"):
        target = tmp_path / "there" / source.name
        target.parent.mkdir(exist_ok=True)
        carried(source).bring(target, NoProgress())
        assert carried(source) == carried(target)
    assert ["config.json", "model"] == sorted(file.name for file in (tmp_path / "there").iterdir())


def test_what_is_too_large_to_carry_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "CARRIED_MOST", 1)
    (tmp_path / "text").write_text("long")
    with pytest.raises(InputError, match="too much to send it along"):
        carried(tmp_path / "text")


def test_a_folder_of_this_machine_is_no_model_that_a_node_can_fetch(tmp_path: Path) -> None:
    assert model("./tiny", tmp_path, "0" * 40) is None
    assert model("org/name", tmp_path, "0" * 40) is not None


def test_an_input_is_the_very_upload_that_was_asked_for(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    place, uploads = ToStore(bucket.as_uri(), "demo", "0" * 64), {}
    for attempt in ("first", "second"):
        made = tmp_path / attempt
        made.mkdir()
        (made / f"{attempt}.safetensors").write_text(attempt)
        uploads[attempt] = Staged.model_validate(place.keep(made, NoProgress()))
        assert [f"{attempt}.safetensors"] == [entry.path for entry in uploads[attempt].files]
    for attempt in ("first", "second"):
        for folder in (tmp_path / "elsewhere", tmp_path / "first"):
            FromStore(bucket.as_uri(), uploads[attempt]).bring(folder, NoProgress())
            assert [f"{attempt}.safetensors"] == [file.name for file in folder.glob("*.safetensors")]


def test_an_upload_is_tried_again_until_the_store_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, made = tmp_path / "bucket", tmp_path / "made"
    bucket.mkdir()
    made.mkdir()
    (made / "model.safetensors").write_text("weights")
    in_the_way = bucket / "demo"
    in_the_way.touch()
    output, waited = ToStore(bucket.as_uri(), "demo", "0" * 64), []
    monkeypatch.setattr(transfer.time, "sleep", waited.append)
    with pytest.raises(EnvironmentFailure, match="uploading demo failed"):
        output.keep(made, NoProgress())
    assert [5, 20, 60] == waited

    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: in_the_way.unlink())
    assert ["model.safetensors"] == [file["path"] for file in output.keep(made, NoProgress())["files"]]


def test_what_is_published_is_brought_too(tmp_path: Path) -> None:
    bucket, made, there = (tmp_path / name for name in ("bucket", "made", "there"))
    bucket.mkdir()
    made.mkdir()
    (made / "model.safetensors").write_text("weights")
    digest = "0" * 64
    staged = Staged.model_validate(ToStore(bucket.as_uri(), "demo", digest).keep(made, NoProgress()))
    draft = ManifestDraft(
        name="demo",
        fingerprint=digest,
        source=Source(model="org/name", revision="abc"),
        recipe={"precision": "fp8-w8a8"},
        engine=Engine(name="llm-compressor", version="1", lock_sha256=digest),
        dataset=Dataset(gate_sha256=digest),
        gate=GateResult(passed=True, figures={}, limits={}),
        source_bytes=1,
    )
    with open_store(bucket.as_uri(), NoProgress()) as store:
        manifest = store.commit(draft, staged, NoProgress())
        assert store.staged("demo", digest) is None
    FromStore(bucket.as_uri(), manifest).bring(there, NoProgress())
    assert (there / "model.safetensors").read_text() == "weights"
