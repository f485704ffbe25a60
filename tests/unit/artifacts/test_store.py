from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.artifacts import Manifest, ManifestDraft, Store
from shipfit.artifacts.address import objects_at
from shipfit.artifacts.layout import channel_key, manifest_key
from shipfit.artifacts.manifest import file_key
from shipfit.artifacts.objects import Objects
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress

Draft = Callable[..., ManifestDraft]
QUIET = NoProgress()


class Notes(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def _key(manifest: Manifest, path: str) -> str:
    return file_key(manifest, next(entry for entry in manifest.files if entry.path == path))


def _overwrite(objects: Objects, key: str, content: bytes) -> None:
    objects.upload(key, [content], len(content), "spoiling")


def test_what_is_published_is_pulled(store: Store, model: Path, draft: Draft) -> None:
    manifest = store.publish(model, draft(), QUIET)
    assert ["config.json", "extra/empty.txt", "model.safetensors"] == [entry.path for entry in manifest.files]
    pulled = store.pull("demo", manifest.fingerprint, QUIET)
    assert manifest == pulled.manifest
    for entry in manifest.files:
        assert (model / entry.path).read_bytes() == (pulled.path / entry.path).read_bytes()
    assert manifest == store.verify("demo", manifest.fingerprint, QUIET)


def test_a_second_publication_changes_nothing(store: Store, model: Path, draft: Draft) -> None:
    first = store.publish(model, draft(), QUIET)
    (model / "config.json").write_text("other")
    assert first == store.publish(model, draft(), QUIET)


def test_nothing_is_visible_before_the_manifest(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    objects.delete([manifest_key("demo", manifest.fingerprint)], "spoiling")
    assert [] == store.fingerprints("demo")
    for read in (store.verify, store.pull):
        with pytest.raises(EnvironmentFailure, match=r"manifest\.json is missing"):
            read("demo", manifest.fingerprint, QUIET)


def test_a_failed_gate_is_not_published(store: Store, model: Path, draft: Draft) -> None:
    with pytest.raises(InputError, match="gate did not pass"):
        store.publish(model, draft(passed=False), QUIET)
    assert [] == store.names()


def test_a_manifest_with_a_failed_gate_is_refused(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    values = manifest.model_dump(mode="json")
    values["gate"]["passed"] = False
    _overwrite(objects, manifest_key("demo", manifest.fingerprint), json.dumps(values).encode())
    with pytest.raises(EnvironmentFailure, match="gate did not pass"):
        store.pull("demo", manifest.fingerprint, QUIET)
    with pytest.raises(EnvironmentFailure, match="gate did not pass"):
        store.promote("demo", "stable", manifest.fingerprint)


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
def test_a_flipped_byte_in_the_store_is_refused_by_name(
    store: Store, objects: Objects, model: Path, draft: Draft, path: str
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    content = bytearray((model / path).read_bytes())
    content[len(content) // 2] ^= 1
    _overwrite(objects, _key(manifest, path), bytes(content))
    for read in (store.verify, store.pull):
        with pytest.raises(EnvironmentFailure, match=f"refused: {path} has other content"):
            read("demo", manifest.fingerprint, QUIET)


def test_a_missing_and_a_short_file_in_the_store_are_refused_by_name(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    _overwrite(objects, _key(manifest, "config.json"), b"{}")
    with pytest.raises(EnvironmentFailure, match=r"config\.json has 2 bytes in the store, not the 40"):
        store.pull("demo", manifest.fingerprint, QUIET)
    objects.delete([_key(manifest, "config.json")], "spoiling")
    with pytest.raises(EnvironmentFailure, match=r"config\.json is missing from the store"):
        store.pull("demo", manifest.fingerprint, QUIET)


def test_a_damaged_cached_copy_is_mended_with_a_note(store: Store, model: Path, draft: Draft) -> None:
    manifest = store.publish(model, draft(), QUIET)
    folder = store.pull("demo", manifest.fingerprint, QUIET).path
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[5_000_000] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    (folder / "stranger.py").write_text("print('loaded with the model')")
    notes = Notes()
    store.pull("demo", manifest.fingerprint, notes)
    assert (model / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert not (folder / "stranger.py").exists()
    assert ["does not match its digest; fetching it anew", "is not part of demo; removing it"] == [
        said.partition(" ")[2] for said in notes.said
    ]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_pull_that_was_cut_off_goes_on(store: Store, model: Path, draft: Draft, damaged: bool) -> None:
    manifest = store.publish(model, draft(), QUIET)
    folder = store.pull("demo", manifest.fingerprint, QUIET).path
    half = bytearray((folder / "model.safetensors").read_bytes()[:6_000_000])
    half[0] ^= damaged
    (folder / ".parts").mkdir()
    (folder / ".parts" / "model.safetensors").write_bytes(half)
    (folder / "model.safetensors").unlink()
    (folder / ".manifest.json").unlink()
    store.pull("demo", manifest.fingerprint, QUIET)
    assert (model / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert not (folder / ".parts").exists()


def test_a_manifest_that_names_a_file_outside_is_refused(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    values = manifest.model_dump(mode="json")
    values["files"][0]["path"] = "../../config.json"
    _overwrite(objects, manifest_key("demo", manifest.fingerprint), json.dumps(values).encode())
    with pytest.raises(EnvironmentFailure, match=r"refused: files\.0\.path"):
        store.pull("demo", manifest.fingerprint, QUIET)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "damaged"),
        (b"[]", "damaged"),
        (b'{"schema_version": 2}', "schema version 2"),
        (b'{"schema_version": 1}', "refused: "),
    ],
)
def test_a_damaged_manifest_is_refused(
    store: Store, objects: Objects, model: Path, draft: Draft, content: bytes, message: str
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    _overwrite(objects, manifest_key("demo", manifest.fingerprint), content)
    with pytest.raises(EnvironmentFailure, match=message):
        store.manifest("demo", manifest.fingerprint)


def test_a_manifest_of_another_artifact_is_refused(
    store: Store, objects: Objects, model: Path, draft: Draft
) -> None:
    manifest = store.publish(model, draft(), QUIET)
    _overwrite(objects, manifest_key("demo", "b" * 64), manifest.model_dump_json().encode())
    with pytest.raises(EnvironmentFailure, match="it is that of demo"):
        store.manifest("demo", "b" * 64)


def test_a_channel_moves_and_goes_back(store: Store, model: Path, draft: Draft) -> None:
    one, two, three = (store.publish(model, draft(content=content), QUIET).fingerprint for content in "123")
    for fingerprint in (one, two, two, three):
        assert fingerprint == store.promote("demo", "stable", fingerprint).fingerprint
    assert [one, two, three] == [move.fingerprint for move in store.channels("demo")[0].moves]
    assert two == store.rollback("demo", "stable").fingerprint
    assert one == store.rollback("demo", "stable").fingerprint == store.resolve("demo", "stable")
    with pytest.raises(InputError, match="nothing to go back to"):
        store.rollback("demo", "stable")


def test_only_a_committed_artifact_is_promoted(store: Store) -> None:
    with pytest.raises(EnvironmentFailure, match=r"manifest\.json is missing"):
        store.promote("demo", "stable", "a" * 64)


def test_a_lost_race_for_a_channel_is_seen(store: Store, objects: Objects, model: Path, draft: Draft) -> None:
    store.promote("demo", "stable", store.publish(model, draft(), QUIET).fingerprint)
    key = channel_key("demo", "stable")
    value = objects.read(key, "reading")
    assert value is not None
    assert objects.replace(key, b"first", value.version, "racing")
    assert not objects.replace(key, b"second", value.version, "racing")
    assert not objects.create(key, b"third", "racing")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (("dmeo", "stable"), "nothing is called dmeo; did you mean demo?"),
        (("other", "stable"), "nothing is called other; names there are: demo"),
        (("demo", "stabel"), "demo has no channel stabel; did you mean stable?"),
        (("demo", "0123456789"), "demo has no artifact 0123456789; artifacts there are: 6b86b273ff34"),
        (("Demo", "stable"), "'Demo' is not a name"),
        (("../demo", "stable"), "is not a name"),
        (("demo", "a/b"), "is not a channel"),
    ],
)
def test_what_is_not_there_is_an_input_error_with_the_nearest(
    store: Store, model: Path, draft: Draft, reference: tuple[str, str], message: str
) -> None:
    store.promote("demo", "stable", store.publish(model, draft(), QUIET).fingerprint)
    with pytest.raises(InputError) as caught:
        store.resolve(*reference)
    assert message in str(caught.value)


def test_a_fingerprint_may_be_abbreviated(store: Store, model: Path, draft: Draft) -> None:
    full = store.publish(model, draft(), QUIET).fingerprint
    assert full == store.resolve("demo", full[:8]) == store.resolve("demo", full)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "a b#c").touch(), "no artifact can hold a file of this name"),
        (lambda folder: folder.rename(folder.with_name("gone")), "there is no such folder"),
        (lambda folder: [path.unlink() for path in folder.rglob("*") if path.is_file()], "holds no files"),
    ],
)
def test_a_folder_that_cannot_be_published_is_an_input_error(
    store: Store, model: Path, draft: Draft, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(model)
    with pytest.raises(InputError, match=message):
        store.publish(model, draft(), QUIET)
    assert [] == store.names()


def test_a_full_disk_is_known_before_anything_is_written(objects: Objects, model: Path, draft: Draft) -> None:
    store = Store(objects, free=lambda: 1000)
    with pytest.raises(EnvironmentFailure, match=r"no space left on the disk for .*: 10 MiB are to be"):
        store.publish(model, draft(), QUIET)
    assert [] == store.names()


def test_a_disk_that_fills_meanwhile_is_named(
    model: Path, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody there: every write fails
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    free = iter([0])
    store = Store(objects_at("s3://bucket/x"), free=lambda: next(free))
    with pytest.raises(EnvironmentFailure, match="no space left on the disk"):
        store.stage(model, "demo", draft().fingerprint, QUIET)


def test_a_writable_store_keeps_no_trace_of_the_check(store: Store) -> None:
    store.check_writable("demo")
    assert [] == store.names()
