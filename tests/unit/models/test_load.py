from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipfit.core.errors import InputError, ShipfitError
from shipfit.core.progress import NoProgress
from shipfit.models import load_facts, snapshot

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 1,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 320,
    "max_position_embeddings": 128,
    "torch_dtype": "bfloat16",
}


def written(folder: Path, tensors: dict[str, int], name: str = "model.safetensors") -> None:
    """A checkpoint with tensors of so many bytes."""
    header, offset = {}, 0
    for tensor, size in tensors.items():
        header[tensor] = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [offset, offset + size]}
        offset += size
    raw = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / name).write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(offset))


def test_bytes_come_from_the_header(tmp_path: Path) -> None:
    written(tmp_path, {"a": 100, "b": 28})
    assert load_facts(str(tmp_path)).stored_bytes == 128
    assert load_facts("./" + tmp_path.name, tmp_path.parent).stored_bytes == 128


def test_every_shard_of_an_index_counts(tmp_path: Path) -> None:
    written(tmp_path, {"a": 100}, "one.safetensors")
    written(tmp_path, {"b": 50}, "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load_facts(str(tmp_path)).stored_bytes == 150


def test_a_tied_head_that_is_stored_all_the_same_does_not_count(tmp_path: Path) -> None:
    written(tmp_path, {"a": 100, "lm_head.weight": 50})
    assert load_facts(str(tmp_path)).stored_bytes == 150
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": True}))
    assert load_facts(str(tmp_path)).stored_bytes == 100


def test_a_folder_with_nothing_but_a_configuration_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert load_facts(str(tmp_path)).stored_bytes is None


def test_a_folder_in_object_storage_is_read_by_ranges(tmp_path: Path) -> None:
    written(tmp_path, {"a": 100})
    assert load_facts(f"file://{tmp_path}").stored_bytes == 100
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"config.json: there is no such file"):
        load_facts(f"file://{tmp_path}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is only 0 bytes long"),
        (b"1234", "is only 4 bytes long"),
        (struct.pack("<Q", 2**60), "says that its header has"),
        (struct.pack("<Q", 50) + b"{}", "ends inside its header (2 of 50 bytes)"),
        (struct.pack("<Q", 5) + b"{oops", "has a header that is not JSON"),
        (struct.pack("<Q", 2) + b"[]", "has a header that is not an object"),
        (struct.pack("<Q", 8) + b'{"a": 1}', "says nothing about where a lies"),
        (struct.pack("<Q", 29) + b'{"a": {"data_offsets":[9,1]}}', "says that a ends before it begins"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_facts(str(tmp_path))
    assert f"model.safetensors: {words}" in str(caught.value)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=st.binary(max_size=60), weights=st.binary(max_size=60))
def test_whatever_lies_there_is_read_or_refused_in_one_line(
    tmp_path: Path, config: bytes, weights: bytes
) -> None:
    (tmp_path / "model.safetensors").write_bytes(weights)
    for content in (config, json.dumps(CONFIG).encode()):
        (tmp_path / "config.json").write_bytes(content)
        try:
            load_facts(str(tmp_path))
        except ShipfitError as error:
            assert "\n" not in str(error)


def test_an_index_names_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    written(tmp_path, {"a": 100})
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')
    with pytest.raises(InputError, match="names the file"):
        load_facts(str(tmp_path))


def test_an_unknown_bundled_model_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no bundled model is called 'gpt'; there is: bundled:gemma-3-270m"):
        load_facts("bundled:gpt")


def test_the_revision_of_a_folder_is_its_content(tmp_path: Path) -> None:
    written(tmp_path, {"a": 100})
    first = snapshot(str(tmp_path), None, NoProgress())
    assert tmp_path == first.path
    assert first == snapshot(str(tmp_path), None, NoProgress())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")  # same shapes, other numbers
    assert first.revision != snapshot(str(tmp_path), None, NoProgress()).revision


def test_a_folder_of_object_storage_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path / "cache"))
    source = tmp_path / "model"
    source.mkdir()
    written(source, {"a": 100})
    copy = snapshot(f"file://{source}", None, NoProgress())
    assert {"config.json", "model.safetensors"} == {path.name for path in copy.path.iterdir()}
    assert (source / "model.safetensors").read_bytes() == (copy.path / "model.safetensors").read_bytes()
    assert copy == snapshot(f"file://{source}", None, NoProgress())


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for call in (lambda text: load_facts(text), lambda text: snapshot(text, None, NoProgress())):
        with pytest.raises(InputError, match=r"config.json: there is no such file"):
            call(str(tmp_path))
