"""llama.cpp on the bundled model: quantized, measured by its own logits, and asked in its own server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import child_environment, run
from shipfit.core.progress import NoProgress
from shipfit.core.worker import WorkerError, run_worker
from shipfit.environments import declaration, embedded, ensure
from shipfit.models import bundled
from shipfit.quantize.engines import INSIDE
from shipfit.quantize.gate.measurements import WORKERS
from shipfit.quantize.texts import bundled_text

pytestmark = pytest.mark.integration

SAMPLING = {"samples": 4, "tokens": 128, "seed": 0}

Work = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def source() -> Path:
    return bundled.folder("gemma-3-270m", NoProgress())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llama.cpp")


@pytest.fixture(scope="module")
def work(folder: Path, source: Path) -> Work:
    """Runs a script in llama.cpp's environment; all share what is made of the source once."""
    python = ensure("llama.cpp").python
    documents = {}
    for text in ("lcet10", "alice29"):
        documents[text] = folder / f"{text}.jsonl"
        content = {"text": bundled_text(text, NoProgress()).read_text(encoding="utf-8")}
        documents[text].write_text(json.dumps(content) + "\n")

    def work(script: Path, text: str, **request: Any) -> dict[str, Any]:
        asked = {
            "source": str(source),
            "revision": "1",
            "baselines": str(folder / "baselines"),
            "documents": [{"path": str(documents[text]), "weight": 1.0}],
            "documents_sha256": text,
            **SAMPLING,
            **request,
        }
        return run_worker(
            python,
            script,
            asked,
            doing="working",
            log=folder / "log",
            report=lambda words, fraction: None,
            modules=INSIDE,
            env={"HF_HUB_OFFLINE": "1"},
        )

    return work


@pytest.fixture(scope="module")
def quantized(
    work: Work, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, dict[str, Any]]]:
    """Quantizes the bundled model, once a precision; gives the artifact's folder and what the engine said."""
    made: dict[str, tuple[Path, dict[str, Any]]] = {}

    def quantize(precision: str) -> tuple[Path, dict[str, Any]]:
        if precision not in made:
            output = tmp_path_factory.mktemp(precision)
            recipe = {"precision": precision, "importance_matrix": precision != "gguf-q8_0"}
            script = embedded("pipelines", "engines", "llama.cpp", "worker.py")
            made[precision] = output, work(script, "lcet10", output=str(output), recipe=recipe)
        return made[precision]

    return quantize


def test_q8_0_has_no_faults_and_needs_no_text(quantized, source: Path) -> None:
    artifact, result = quantized("gguf-q8_0")
    assert ([], 0, 0) == (result["faults"], result["samples"], result["tokens"])
    assert 127 == result["layers"]  # 7 matrices in each of 18 layers, and the embedding
    files = {file.name for file in source.iterdir() if not file.name.endswith(".safetensors")}
    assert files | {"model.gguf"} == {file.name for file in artifact.iterdir()}
    assert (source / "tokenizer.json").read_bytes() == (artifact / "tokenizer.json").read_bytes()


def test_a_layer_that_is_stored_as_another_type_is_a_fault(quantized) -> None:
    _artifact, result = quantized("gguf-q4_k_m")
    assert (4, 512, 127) == (result["samples"], result["tokens"], result["layers"])
    assert 90 == len(result["faults"])  # 5 of 7 matrices have 640 columns, and K types come in blocks of 256
    expected = {
        "kind": "unexpected",
        "layer": "blk.0.attn_k.weight",
        "detail": "stored as q5_0, not q4_K: 640 columns are no multiple of 256",
    }
    assert expected == result["faults"][0]


def test_no_path_of_this_machine_is_in_the_artifact(quantized, source: Path) -> None:
    artifact, _result = quantized("gguf-q4_k_m")
    head = (artifact / "model.gguf").read_bytes()[: 2**25]
    assert b"quantize.imatrix.file" in head
    assert str(source).encode() not in head
    assert str(artifact.parent).encode() not in head


@pytest.mark.parametrize("precision", ["gguf-q8_0", "gguf-q4_k_m"])
def test_it_is_measured_as_llama_perplexity_itself_does(
    quantized, work: Work, folder: Path, precision: str
) -> None:
    artifact, _result = quantized(precision)
    script = WORKERS / "gguf.py"
    measured = work(script, "alice29", artifact=str(artifact))
    figures = measured["figures"]
    assert (4 * 63, 0) == (figures["positions"], figures["structure_faults"])
    assert {"documents_sha256": "alice29", **SAMPLING} == measured["details"]["text"]
    assert measured["intervals"]["mean_kl"][0] < figures["mean_kl"] < measured["intervals"]["mean_kl"][1]
    own = kl_divergence(artifact / "model.gguf", next(folder.rglob("*.logits")))
    assert own["Mean    KLD"] == pytest.approx(figures["mean_kl"], rel=0.01)
    assert own["Mean PPL(Q)/PPL(base)"] == pytest.approx(figures["perplexity_ratio"], abs=1e-3)
    assert own["Mean PPL(base)"] == pytest.approx(figures["source_perplexity"], rel=1e-3)
    assert own["Same top p"] / 100 == pytest.approx(figures["top1_agreement"], abs=0.005)


def kl_divergence(model: Path, logits: Path) -> dict[str, float]:
    """What llama-perplexity says of the artifact, with the logits of the source that the gate has kept."""
    argv = ["--model", model, "--kl-divergence", "--kl-divergence-base", logits]
    length = str(SAMPLING["tokens"])
    done = subprocess.run(
        [
            ensure("llama.cpp").program("llama-perplexity"),
            *argv,
            "--ctx-size",
            length,
            "--batch-size",
            length,
        ],
        check=True,
        capture_output=True,
        text=True,
        env=child_environment(),
    )
    found = re.findall(r"^(.+?)\s*:\s+([-\d.]+) ±", done.stdout + done.stderr, re.MULTILINE)
    return {name: float(value) for name, value in found}


@pytest.mark.parametrize("precision", ["gguf-q8_0", "gguf-q4_k_m"])
def test_its_server_answers_as_the_source_does(quantized, work: Work, precision: str) -> None:
    artifact, _result = quantized(precision)
    generation = {"prompts": ["Water boils at"], "tokens": 8}
    asked = work(WORKERS / "gguf_generation.py", "alice29", artifact=str(artifact), generation=generation)
    assert 0 == asked["figures"]["faulty"]
    (answer,) = asked["details"]["answers"]
    assert answer["source"].startswith(" 100 degrees")
    assert answer["artifact"].startswith(" 100 degrees")


def test_a_file_that_was_cut_off_is_a_structural_fault(quantized, work: Work, tmp_path: Path) -> None:
    artifact, _result = quantized("gguf-q8_0")
    whole = (artifact / "model.gguf").read_bytes()
    (tmp_path / "model.gguf").write_bytes(whole[: len(whole) // 2])
    measured = work(WORKERS / "gguf.py", "alice29", artifact=str(tmp_path))
    assert {"structure_faults": 1} == measured["figures"]
    (fault,) = measured["details"]["faults"]
    assert ("unreadable", "model.gguf") == (fault["kind"], fault["tensor"])
    assert "llama-perplexity ended with code 1" in fault["detail"]


def test_an_architecture_that_llama_cpp_does_not_know_is_named(
    work: Work, source: Path, tmp_path: Path
) -> None:
    strange, output = tmp_path / "strange", tmp_path / "output"
    strange.mkdir()
    output.mkdir()
    for file in source.iterdir():
        (strange / file.name).symlink_to(file)
    config = json.loads((source / "config.json").read_text())
    (strange / "config.json").unlink()
    (strange / "config.json").write_text(json.dumps({**config, "architectures": ["StrangeForCausalLM"]}))
    script = embedded("pipelines", "engines", "llama.cpp", "worker.py")
    with pytest.raises(WorkerError, match=r"llama\.cpp knows no StrangeForCausalLM"):
        work(script, "lcet10", source=str(strange), output=str(output), recipe={"precision": "gguf-q8_0"})


def test_a_machine_without_a_compiler_is_told_so_in_one_line(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    build = declaration("llama.cpp").folder / "build.py"
    with pytest.raises(EnvironmentFailure, match=r"needs a C\+\+ compiler and this machine has none"):
        run(
            [sys.executable, build, tmp_path],
            doing="building the llama.cpp environment",
            env={"PATH": str(programs)},
        )
