from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.artifacts import ManifestDraft, Staged, Store
from shipfit.artifacts.layout import removal_key, uploads_prefix, work_prefix
from shipfit.artifacts.manifest import file_key
from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()
PRINT = "6" * 64


class Notes(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def _sent(objects: Objects, fingerprint: str = PRINT) -> list[str]:
    """The names of all uploaded files, of whatever attempt."""
    prefix = uploads_prefix("demo", fingerprint)
    found = objects.below(prefix, "counting")
    return sorted(each.key.removeprefix(f"{prefix}/").partition("/")[2] for each in found)


def test_what_is_staged_is_seen_by_nobody(store: Store, model: Path) -> None:
    staged = store.stage(model, "demo", PRINT, QUIET)
    assert ["config.json", "extra/empty.txt", "model.safetensors"] == [entry.path for entry in staged.files]
    assert [] == store.names()
    assert store.manifest("demo", PRINT) is None
    assert staged == store.staged("demo", PRINT)


def test_a_second_attempt_sends_only_what_did_not_arrive(store: Store, objects: Objects, model: Path) -> None:
    first = store.stage(model, "demo", PRINT, QUIET)
    objects.delete([file_key(first, first.files[0])], "spoiling")
    assert store.staged("demo", PRINT) is None
    second = store.stage(model, "demo", PRINT, QUIET)
    assert second == store.staged("demo", PRINT)
    assert ["config.json", "extra/empty.txt", "model.safetensors"] == _sent(objects)
    assert [None, first.upload, first.upload] == [entry.upload for entry in second.files]


def test_a_file_that_is_not_the_same_bit_for_bit_is_sent_again(
    store: Store, objects: Objects, model: Path
) -> None:
    store.stage(model, "demo", PRINT, QUIET)
    content = bytearray((model / "model.safetensors").read_bytes())
    content[0] ^= 1
    (model / "model.safetensors").write_bytes(content)
    second = store.stage(model, "demo", PRINT, QUIET)
    assert ["config.json", "extra/empty.txt", "model.safetensors", "model.safetensors"] == _sent(objects)
    assert second.files[2].upload is None


def test_what_is_being_removed_is_not_picked_up(store: Store, objects: Objects, model: Path) -> None:
    store.stage(model, "demo", PRINT, QUIET)
    objects.create(removal_key("demo", PRINT), b"{}", "marking")
    second = store.stage(model, "demo", PRINT, QUIET)
    assert {None} == {entry.upload for entry in second.files}


def test_another_machine_fetches_what_is_staged_and_goes_on_where_it_was_cut_off(
    store: Store, model: Path, tmp_path: Path
) -> None:
    staged = store.stage(model, "demo", PRINT, QUIET)
    there = tmp_path / "there"
    (there / ".parts").mkdir(parents=True)
    (there / ".parts" / "model.safetensors").write_bytes(
        (model / "model.safetensors").read_bytes()[:3_000_000]
    )
    for _again in range(2):
        store.fetch(staged, there, QUIET)
        for entry in staged.files:
            assert (model / entry.path).read_bytes() == (there / entry.path).read_bytes()
    assert not (there / ".parts").exists()


def test_a_commit_adds_what_came_of_judging(
    store: Store, objects: Objects, model: Path, draft: Draft, tmp_path: Path
) -> None:
    fingerprint = draft().fingerprint
    store.keep_checkpoint("demo", fingerprint, "gate", "of", {"mean_kl": 0.05})
    staged = store.stage(model, "demo", fingerprint, QUIET)
    extra = tmp_path / "judged"
    extra.mkdir()
    (extra / "gate.html").write_text("<p>passed</p>")
    (extra / "config.json").write_text("takes the place")
    manifest = store.commit(draft(), staged, QUIET, extra)
    assert ["config.json", "extra/empty.txt", "gate.html", "model.safetensors"] == [
        entry.path for entry in manifest.files
    ]
    pulled = store.pull("demo", fingerprint, QUIET)
    assert "takes the place" == (pulled.path / "config.json").read_text()
    # Nothing is left but what the manifest names.
    assert sorted(["config.json", "extra/empty.txt", "gate.html", "model.safetensors"]) == _sent(
        objects, fingerprint
    )
    assert [] == objects.below(work_prefix("demo", fingerprint), "counting")
    assert store.checkpoint("demo", fingerprint, "gate", "of") is None
    assert store.staged("demo", fingerprint) is None


def test_the_second_committer_says_who_was_faster_and_leaves_nothing(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    fingerprint = draft().fingerprint
    first = store.stage(model, "demo", fingerprint, QUIET)
    (model / "config.json").write_text("other")
    (model / "model.safetensors").write_bytes(b"other")
    second = store.stage(model, "demo", fingerprint, QUIET)
    committed = store.commit(draft(), second, QUIET)
    notes = Notes()
    assert committed == store.commit(draft(), first, notes)
    assert [f"another writer published demo ({fingerprint[:12]}) first; its files count"] == notes.said
    # The empty file was the same: the winner's manifest names that of the loser, so it stays.
    assert first.upload == committed.files[1].upload
    assert ["config.json", "extra/empty.txt", "model.safetensors"] == _sent(objects, fingerprint)
    store.verify("demo", fingerprint, QUIET)


def test_what_did_not_arrive_is_not_committed(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    staged = store.stage(model, "demo", draft().fingerprint, QUIET)
    objects.upload(file_key(staged, staged.files[2]), [b"short"], 5, "spoiling")
    with pytest.raises(
        EnvironmentFailure, match=r"model\.safetensors did not arrive whole \(5 of 10,240,000 bytes\)"
    ):
        store.commit(draft(), staged, QUIET)
    assert [] == store.names()


def test_a_draft_of_another_artifact_is_refused(store: Store, model: Path, draft: Draft) -> None:
    staged: Staged = store.stage(model, "demo", PRINT, QUIET)
    with pytest.raises(InputError, match="what is staged is another artifact"):
        store.commit(draft(), staged, QUIET)


def test_checkpoints_come_back_as_they_were(store: Store, objects: Objects) -> None:
    assert store.checkpoint("demo", PRINT, "quantize", "of") is None
    for result in ({"samples": 32, "faults": [{"layer": "é"}]}, {"samples": 64}):
        store.keep_checkpoint("demo", PRINT, "quantize", "of", result)
        assert result == store.checkpoint("demo", PRINT, "quantize", "of")
    objects.write(f"{work_prefix('demo', PRINT)}/stages/quantize/of.json", b"[", "spoiling")
    with pytest.raises(
        EnvironmentFailure, match="the result of the quantize of demo is damaged; remove demo/work"
    ):
        store.checkpoint("demo", PRINT, "quantize", "of")
