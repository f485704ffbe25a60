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


def stored(text: str, base: Path | None = None) -> dict[str, int]:
    """Bytes of each weight that headers were found for."""
    weights = load_facts(text, base).weights
    return {weight.name: weight.stored for weight in weights if weight.stored is not None}


NORM = {"model.norm.weight": 128}
HEAD = {"lm_head.weight": 40960}


def test_bytes_come_from_the_header(tmp_path: Path) -> None:
    written(tmp_path, NORM | HEAD)
    assert {"head": 40960, "last_norm": 128} == stored(str(tmp_path))
    assert {"head": 40960, "last_norm": 128} == stored("./" + tmp_path.name, tmp_path.parent)


def test_every_shard_of_an_index_counts(tmp_path: Path) -> None:
    written(tmp_path, NORM, "one.safetensors")
    written(tmp_path, HEAD, "two.safetensors")
    index = {"weight_map": {"model.norm.weight": "one.safetensors", "lm_head.weight": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert {"head": 40960, "last_norm": 128} == stored(str(tmp_path))


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    written(tmp_path, NORM, "one.safetensors")
    index = {"weight_map": {"model.norm.weight": "one.safetensors", "lm_head.weight": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    for text in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(InputError, match=r"two.safetensors: is missing, though the index names it"):
            load_facts(text)


def test_a_tied_head_that_is_stored_all_the_same_does_not_count(tmp_path: Path) -> None:
    written(tmp_path, NORM | HEAD)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": True}))
    assert {"last_norm": 128} == stored(str(tmp_path))


def test_a_folder_with_nothing_but_a_configuration_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert not load_facts(str(tmp_path)).stored_read
    assert not load_facts(f"file://{tmp_path}").stored_read


def test_a_folder_in_object_storage_is_read_by_ranges(tmp_path: Path) -> None:
    written(tmp_path, NORM)
    assert {"last_norm": 128} == stored(f"file://{tmp_path}")
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"config.json: there is no such file"):
        load_facts(f"file://{tmp_path}")


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    written(tmp_path, NORM)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-28])
    for text in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(InputError, match=r"ends before model.norm.weight does \(100 of 128 bytes\)"):
            load_facts(text)


@pytest.mark.parametrize("content", [b"", struct.pack("<Q", 50) + b"{}", struct.pack("<Q", 5) + b"{oops"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(content)
    for text in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(InputError, match=r"model.safetensors: .*; download that file again$"):
            load_facts(text)


def test_what_modelopt_says_beside_the_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    beside = {
        "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    }
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(beside))
    quantization = load_facts(str(tmp_path)).quantization
    assert quantization is not None
    assert ("modelopt", "nvfp4", "fp8") == (
        quantization.method,
        quantization.precision,
        quantization.kv_cache,
    )


def test_what_is_wrong_beside_the_configuration_is_blamed_on_that_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for content, words in (
        (b"[", "is not JSON"),
        (b'{"quantization": 3}', "quantization_config.quantization: is not"),
    ):
        (tmp_path / "hf_quant_config.json").write_bytes(content)
        with pytest.raises(InputError, match=f"hf_quant_config.json: {words}"):
            load_facts(str(tmp_path))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: is a folder, not a file; download the model again"):
        load_facts(str(tmp_path))


def test_a_folder_with_gguf_alone_says_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "model-q4_k_m.gguf").write_bytes(b"GGUF")
    for text in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(
            InputError, match=r"only GGUF; put the config.json of the model that it was made from"
        ):
            load_facts(text)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
