"""The passthrough engine on checkpoints of a few tensors, in llm-compressor's environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.process import child_environment
from shipfit.core.worker import WorkerError, run_worker
from shipfit.environments import embedded, ensure
from shipfit.quantize.engines import engines

pytestmark = pytest.mark.integration

_MAKE = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
torch.manual_seed(0)
for name, kind, large in json.loads(sys.argv[2]):
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    to = getattr(torch, kind)
    first = {"a.weight": torch.randn(3, 5).to(to), "b.weight": torch.full((2, 2), large).to(to)}
    second = {"c.bias": torch.randn(7).to(to), "steps": torch.tensor([1, 2, 3]), "kept.weight": torch.randn(2).half()}
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for number, shard in enumerate((first, second), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        index["weight_map"] |= dict.fromkeys(shard, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = {"model_type": "gemma3_text", "torch_dtype": kind, "text_config": {"dtype": kind, "layers": 2}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "LICENSE").write_text("as it was")
"""

_COMPARE = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import load_file
source, output, kind = Path(sys.argv[1]), Path(sys.argv[2]), getattr(torch, sys.argv[3])
floats = 0
for shard in sorted(source.glob("*.safetensors")):
    before, after = load_file(shard), load_file(output / shard.name)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        expected = tensor.to(kind) if tensor.is_floating_point() else tensor
        floats += tensor.is_floating_point()
        assert expected.dtype == after[name].dtype, name
        assert torch.equal(expected, after[name]), name
sizes = [t.numel() * t.element_size() for s in output.glob("*.safetensors") for t in load_file(s).values()]
print(json.dumps({"floats": floats, "bytes": sum(sizes)}))
"""


def run_inside(script: str, *arguments: str | Path) -> str:
    python = ensure("llm-compressor").python
    done = subprocess.run(
        [python, "-c", script, *arguments],
        check=True,
        env=child_environment(),
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of each type, and one with values that fp16 cannot hold."""
    folder = tmp_path_factory.mktemp("sources")
    kinds = [["float16", "float16", 1.0], ["float32", "float32", 1.0], ["bfloat16", "bfloat16", 1.0]]
    run_inside(_MAKE, folder, json.dumps([*kinds, ["large", "bfloat16", 1e5]]))
    return folder


def take_over(source: Path, output: Path, precision: str) -> dict[str, Any]:
    output.mkdir()
    return run_worker(
        ensure(engines()["passthrough"].environment or "").python,
        embedded("pipelines", "engines", "passthrough", "worker.py"),
        {"source": str(source), "output": str(output), "recipe": {"precision": precision}},
        doing="quantizing",
        log=output.parent / "log",
        report=lambda text, fraction: None,
    )


def test_what_has_the_type_already_is_taken_over_byte_for_byte(sources: Path, tmp_path: Path) -> None:
    source = sources / "float16"
    result = take_over(source, tmp_path / "output", "fp16")
    assert (0, []) == (result["layers"], result["faults"])
    assert {file.name: file.read_bytes() for file in source.iterdir()} == {
        file.name: file.read_bytes() for file in (tmp_path / "output").iterdir()
    }


@pytest.mark.parametrize(
    ("kind", "precision", "wanted"), [("float32", "bf16", "bfloat16"), ("bfloat16", "fp16", "float16")]
)
def test_every_number_is_cast_and_nothing_else_changes(
    sources: Path, tmp_path: Path, kind: str, precision: str, wanted: str
) -> None:
    source, output = sources / kind, tmp_path / "output"
    result = take_over(source, output, precision)
    found = json.loads(run_inside(_COMPARE, source, output, wanted))
    already = 1 if wanted == "float16" else 0  # kept.weight
    assert (found["floats"] - already, []) == (result["layers"], result["faults"])
    config = json.loads((output / "config.json").read_text())
    assert {
        "model_type": "gemma3_text",
        "torch_dtype": wanted,
        "text_config": {"dtype": wanted, "layers": 2},
    } == config
    index = json.loads((output / "model.safetensors.index.json").read_text())
    assert found["bytes"] == index["metadata"]["total_size"]
    assert "as it was" == (output / "LICENSE").read_text()


def test_a_value_that_overflows_is_a_fault(sources: Path, tmp_path: Path) -> None:
    result = take_over(sources / "large", tmp_path / "output", "fp16")
    (fault,) = result["faults"]
    assert ("not-finite", "b") == (fault["kind"], fault["layer"])
    assert fault["detail"].startswith("4 of 4 values do not fit torch.float16; the largest is ")


def test_a_compressed_source_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(WorkerError, match="the source is compressed already, by gptq") as failure:
        take_over(source, tmp_path / "output", "bf16")
    assert "source" == failure.value.field
