"""Damaged artifacts: each damage is found, and is the only thing found."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.quantize.gate.conftest import in_environment, measure_all

pytestmark = pytest.mark.integration

_MAKE = """
import sys, torch
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import QuantizationModifier
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=128, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, dtype=torch.bfloat16, tie_word_embeddings=False,
)
LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(sys.argv[1] + "/source")
for scheme in sys.argv[2:]:
    model = LlamaForCausalLM.from_pretrained(sys.argv[1] + "/source", dtype="auto")
    group = {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": 32}
    how = {"config_groups": {"all": {"targets": ["Linear"], "weights": group}}} if scheme == "grouped" else {
        "targets": "Linear", "scheme": scheme}
    oneshot(model=model, recipe=QuantizationModifier(**how, ignore=["lm_head"]))
    model.save_pretrained(f"{sys.argv[1]}/{scheme}", save_compressed=True)
"""

RECIPE = {"precision": "awq-w4a16", "group_size": 32, "symmetric": False, "ignore": ["lm_head"]}
LAYER = "model.layers.1.mlp.down_proj"


@dataclass
class File:
    """A safetensors file as Python values."""

    header: dict[str, Any]
    data: bytearray

    @classmethod
    def read(cls, path: Path) -> File:
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        return cls(json.loads(content[8 : 8 + length]), bytearray(content[8 + length :]))

    def write(self, path: Path) -> None:
        header = json.dumps(self.header).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + self.data)

    def take(self, name: str) -> None:
        """Take a tensor out, and close the gap."""
        begin, end = self.header.pop(name)["data_offsets"]
        del self.data[begin:end]
        for entry in self.header.values():
            if "data_offsets" in entry and entry["data_offsets"][0] >= end:
                entry["data_offsets"] = [place - (end - begin) for place in entry["data_offsets"]]

    def add(self, name: str, number_format: str, shape: list[int], content: bytes) -> None:
        begin = len(self.data)
        self.data += content
        self.header[name] = {
            "dtype": number_format,
            "shape": shape,
            "data_offsets": [begin, begin + len(content)],
        }

    def overwrite(self, name: str, place: int, content: bytes) -> None:
        begin = self.header[name]["data_offsets"][0] + place
        self.data[begin : begin + len(content)] = content


def tensors(change: Callable[[File], None]) -> Callable[[Path], None]:
    """A damage to what the file holds."""

    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        file = File.read(path)
        change(file)
        file.write(path)

    return damage


def config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A damage to what the configuration says."""

    def damage(folder: Path) -> None:
        path = folder / "config.json"
        content = json.loads(path.read_text())
        change(content["quantization_config"])
        path.write_text(json.dumps(content))

    return damage


def content(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A damage to the file's bytes."""

    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return damage


def misshape(file: File) -> None:
    file.header[f"{LAYER}.weight_scale"]["shape"] = [32, 8]


def overlap(file: File) -> None:
    first, second = sorted(
        (entry for entry in file.header.values() if "dtype" in entry), key=lambda entry: entry["data_offsets"]
    )[:2]
    size = second["data_offsets"][1] - second["data_offsets"][0]
    second["data_offsets"] = [first["data_offsets"][1] - 1, first["data_offsets"][1] - 1 + size]


def keep_whole(file: File) -> None:
    for part in ("weight_packed", "weight_scale", "weight_zero_point", "weight_shape"):
        file.take(f"{LAYER}.{part}")
    file.add(f"{LAYER}.weight", "BF16", [64, 128], bytes(2 * 64 * 128))


NAN, INFINITY = b"\xc0\x7f", b"\x80\xff"  # of bfloat16, little end first
DAMAGES: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "a NaN scale": (
        tensors(lambda file: file.overwrite(f"{LAYER}.weight_scale", 6, NAN)),
        "not finite",
        f"{LAYER}.weight_scale",
        "1 of its values are NaN or infinite",
    ),
    "an infinite norm": (
        tensors(lambda file: file.overwrite("model.norm.weight", 0, INFINITY + NAN)),
        "not finite",
        "model.norm.weight",
        "2 of its values are NaN or infinite",
    ),
    "a tensor less": (
        tensors(lambda file: file.take("model.norm.weight")),
        "missing",
        "model.norm.weight",
        "is in the source, [64]",
    ),
    "a part less": (
        tensors(lambda file: file.take(f"{LAYER}.weight_zero_point")),
        "missing",
        f"{LAYER}.weight_zero_point",
        "a part of a quantized layer",
    ),
    "a tensor more": (
        tensors(lambda file: file.add("model.extra", "BF16", [1], b"\0\0")),
        "unexpected",
        "model.extra",
        "is neither in the source nor a part of a quantized layer",
    ),
    "another shape": (tensors(misshape), "shape", f"{LAYER}.weight_scale", "is [32, 8], not [64, 4]"),
    "a shape that lies": (
        tensors(lambda file: file.overwrite(f"{LAYER}.weight_shape", 0, struct.pack("<q", 65))),
        "shape",
        f"{LAYER}.weight_shape",
        "says [65, 128], and the source has [64, 128]",
    ),
    "another number format": (
        tensors(lambda file: file.header["model.norm.weight"].update(dtype="I16")),
        "format",
        "model.norm.weight",
        "is I16, and is not among the layers that are quantized",
    ),
    "a layer left out": (
        tensors(keep_whole),
        "not quantized",
        LAYER,
        "it is stored as in the source, and the recipe does not ignore it",
    ),
    "another group size": (
        config(lambda said: said["config_groups"]["group_0"]["weights"].update(group_size=64)),
        "config",
        "config.json",
        "group_size is 64, and the recipe asks for 32",
    ),
    "another tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{ }") and None,
        "tokenizer",
        "tokenizer.json",
        "is not the source's",
    ),
}
UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (content(lambda whole: whole[:-100]), "and its header asks for"),
    "cut off early": (content(lambda whole: whole[:100]), "is cut off within its header"),
    "longer than it says": (content(lambda whole: whole + b"\0"), "and its header asks for"),
    "empty": (content(lambda _whole: b""), "is cut off within its header"),
    "garbage": (
        content(lambda whole: whole[:8] + b"\xff" * (len(whole) - 8)),
        "has no header that can be read",
    ),
    "overlapping": (tensors(overlap), "overlaps another"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers, and the same in several formats."""
    folder = tmp_path_factory.mktemp("models")
    in_environment(_MAKE, folder, "grouped", "FP8_DYNAMIC", "MXFP4")
    for model in folder.iterdir():
        (model / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def found(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is found in each damaged artifact, and in sound ones."""
    requests: dict[str, dict[str, Any]] = {}

    def ask(name: str, artifact: Path, recipe: dict[str, Any]) -> None:
        requests[name] = {"source": str(models / "source"), "artifact": str(artifact), "recipe": recipe}

    ask("sound", models / "grouped", RECIPE)
    ask(
        "fp8",
        models / "FP8_DYNAMIC",
        {"precision": "fp8-w8a8", "activation_scales": "dynamic", "ignore": ["lm_head"]},
    )
    ask("mxfp4", models / "MXFP4", {"precision": "mxfp4", "ignore": ["lm_head"]})
    ask("a copy", models / "source", {"precision": "bf16", "engine": "passthrough"})
    ask("a copy in place of a recipe", models / "source", RECIPE)
    ask("one quantized too many", models / "grouped", {**RECIPE, "ignore": ["lm_head", "re:.*o_proj$"]})
    folder = tmp_path_factory.mktemp("damaged")
    for name, damage in {name: each[0] for name, each in {**DAMAGES, **UNREADABLE}.items()}.items():
        shutil.copytree(models / "grouped", folder / name)
        damage(folder / name)
        ask(name, folder / name, RECIPE)
    return dict(zip(requests, measure_all("structure.py", list(requests.values())), strict=True))


@pytest.mark.parametrize("name", ["sound", "fp8", "mxfp4", "a copy"])
def test_a_sound_artifact_has_no_faults(name: str, found: dict[str, dict[str, Any]]) -> None:
    assert [] == found[name]["details"]["faults"]
    assert {"structure_faults": 0} == found[name]["figures"]
    assert (0 if name == "a copy" else 14) == found[name]["details"]["quantized_layers"]
    assert found[name]["details"]["bytes"] == sum(found[name]["details"]["formats"].values())


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_found_and_nothing_else(name: str, found: dict[str, dict[str, Any]]) -> None:
    _, kind, tensor, detail = DAMAGES[name]
    faults = found[name]["details"]["faults"]
    assert {"kind": kind, "tensor": tensor, "detail": detail} == faults[0]
    assert {kind} == {fault["kind"] for fault in faults} - (
        {"shape"} if name == "another group size" else set()
    )


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_said_once(name: str, found: dict[str, dict[str, Any]]) -> None:
    fault = found[name]["details"]["faults"][0]
    assert "unreadable" == fault["kind"]
    assert UNREADABLE[name][1] in fault["detail"]


def test_an_artifact_must_be_what_its_recipe_says(found: dict[str, dict[str, Any]]) -> None:
    assert {
        "kind": "config",
        "tensor": "config.json",
        "detail": "does not say that anything is quantized as awq-w4a16",
    } in found["a copy in place of a recipe"]["details"]["faults"]
    assert {"quantized"} == {fault["kind"] for fault in found["one quantized too many"]["details"]["faults"]}
    assert 2 == found["one quantized too many"]["figures"]["structure_faults"]
