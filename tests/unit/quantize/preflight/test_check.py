"""What is refused before any work, each in one line with file, line and field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress
from shipfit.environments import Accelerator
from shipfit.models import load_facts
from shipfit.quantize.engines import engine_of
from shipfit.quantize.preflight import preflight, require_possible
from shipfit.spec import Pipeline, load
from tests.unit.tiny_llama import CONFIG

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: x
source: {source}
recipe: {recipe}
calibration: {{dataset: [bundled:lcet10], samples: {samples}, tokens: {tokens}}}
gate: {{dataset: [bundled:alice29], samples: 8, tokens: {gate_tokens}{gate}}}
{more}
"""


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs the preflight of a pipeline; what it said."""

    def check(
        recipe: str = "{precision: gptq-w4a16}",
        source: str = "meta-llama/Llama-3.1-8B-Instruct",
        samples: int = 64,
        tokens: int = 512,
        gate_tokens: int = 512,
        gate: str = "",
        more: str = "",
    ) -> list[str]:
        path = tmp_path / "x.yaml"
        path.write_text(
            _SPEC.format(
                recipe=recipe,
                source=source,
                samples=samples,
                tokens=tokens,
                gate_tokens=gate_tokens,
                gate=gate,
                more=more,
            )
        )
        pipeline = load(path, Pipeline)
        said: list[str] = []
        progress = NoProgress()
        progress.note = said.append  # type: ignore[method-assign]
        recipe_of = pipeline.all_recipes[0]
        facts = load_facts(pipeline.source)
        engine = engine_of(pipeline, recipe_of)
        require_possible(pipeline, recipe_of, engine, facts)
        preflight(pipeline, engine, facts, progress, here=True)
        return said

    return check


@pytest.fixture
def driver_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Makes this a machine with GPUs whose driver does what a line of shell does."""

    def make(line: str) -> None:
        driver = tmp_path / "nvidia-smi"
        driver.write_text(f"#!/bin/sh\n{line}\n")
        driver.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setattr("shipfit.quantize.engines.local_accelerator", lambda: Accelerator.CUDA)

    return make


def test_what_will_be_taken_is_said_before_it_is(checked: Callable[..., list[str]]) -> None:
    (line,) = checked()
    assert line.startswith("llm-compressor gptq-w4a16 will take about ")
    assert re.search(r" GiB of memory \([\d.]+ in the gate\), ", line)
    assert line.endswith(" min")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            {"tokens": 200_000},
            r"x.yaml:6: calibration.tokens: is 200,000, and meta-llama/.* holds 131,072 tokens",
        ),
        ({"gate_tokens": 200_000}, r"x.yaml:7: gate.tokens: is 200,000, and meta-llama"),
        (
            {"source": "bundled:gemma-3-270m", "recipe": "{precision: awq-w4a16, engine: autoawq}"},
            r"x.yaml:4: source: autoawq does not know gemma3_text, .*; use llm-compressor; autoawq knows: .*llama",
        ),
        (
            {"source": "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16"},
            r"x.yaml:4: source: RedHatAI/.* is quantized already \(gptq\)",
        ),
        (
            {"more": "serving: {hardware: {gpu: L4}, promise: {context: 8192, concurrency: 500}}"},
            r"x.yaml:8: serving: an artifact in gptq-w4a16 could not be served there: .*",
        ),
        (
            {
                "recipe": "{precision: nvfp4}",
                "source": "bundled:gemma-3-270m",
                "more": "serving: {hardware: {gpu: cpu}, promise: {context: 1024, concurrency: 1}}",
            },
            r"x.yaml:8: serving: an artifact in nvfp4 could not be served there: .*nvfp4",
        ),
        (
            {"recipe": "{precision: gguf-q8_0}", "gate": ", tasks: {names: [a]}"},
            r"x.yaml:7: gate.tasks: cannot be run on what llama.cpp writes",
        ),
        (
            {
                "source": "bundled:gemma-3-270m",
                "recipe": "{precision: gptq-w4a16, group_size: 128}",
                "more": "serving: {hardware: {gpu: H100x}, promise: {context: 1024, concurrency: 1}}",
            },
            r"x.yaml:8: serving.hardware.gpu: .*H100x",
        ),
    ],
)
def test_what_cannot_go_well_is_refused(
    checked: Callable[..., list[str]], case: dict[str, object], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        checked(**case)


def test_act_order_that_no_kernel_follows_is_refused_wherever_it_is_to_be_served(
    checked: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AutoGPTQ makes groups of the inputs in that order; with one group a row there is nothing to follow."""
    monkeypatch.setattr("shipfit.quantize.engines.local_accelerator", lambda: Accelerator.CUDA)
    recipe = "{{precision: gptq-w4a16, engine: auto-gptq, act_order: true, group_size: {}}}"
    with pytest.raises(
        InputError,
        match=r"x.yaml:5: recipe: vLLM serves on no GPU what auto-gptq makes of it: act order with groups of 64 has no"
        r" kernel in this release; use static act order or none",
    ):
        checked(recipe.format(64))
    checked(recipe.format(-1))


def test_a_deprecated_engine_names_its_successor(checked: Callable[..., list[str]]) -> None:
    first, _ = checked("{precision: awq-w4a16, engine: autoawq}")
    assert first.startswith("autoawq is deprecated: ")
    assert first.endswith("; use llm-compressor")


def test_a_layer_that_groups_do_not_divide_can_be_ignored(checked: Callable[..., list[str]]) -> None:
    model = "deepseek-ai/DeepSeek-V2-Lite-Chat"  # its one dense layer has 10,944 inputs
    with pytest.raises(InputError, match=r"x.yaml:5: recipe.group_size: feed_forward.down has 10944 inputs"):
        checked(source=model, samples=512)
    checked("{precision: gptq-w4a16, ignore: [lm_head, 're:.*layers.0.mlp.down_proj']}", model, samples=512)


@pytest.mark.parametrize(("precision", "group"), [("nvfp4", 16), ("mxfp4", 32)])
def test_a_width_that_the_precisions_own_groups_do_not_divide_is_refused(
    checked: Callable[..., list[str]], tmp_path: Path, precision: str, group: int
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({**CONFIG, "intermediate_size": 136}))
    refused = (
        rf"x.yaml:5: recipe.precision: .*down has 136 inputs, which groups of {group} do not divide; ignore"
    )
    with pytest.raises(InputError, match=refused):
        checked(f"{{precision: {precision}}}", str(tmp_path / "model"), tokens=64, gate_tokens=64)
    checked("{precision: fp8-block}", str(tmp_path / "model"), tokens=64, gate_tokens=64)


def test_what_the_gate_takes_of_the_host_is_told_before(checked: Callable[..., list[str]]) -> None:
    gates = [
        float(re.search(r"\(([\d.]+) in the gate\)", checked(gate=gate)[-1]).group(1))  # type: ignore[union-attr]
        for gate in ("", ", generation: null")
    ]
    # 15.0 GiB of 16-bit weights twice in vLLM; or once, and 5.3 of the artifact.
    assert gates == [pytest.approx(2 * 15.0 + 1.5, abs=0.2), pytest.approx(15.0 + 5.3 + 1.5, abs=0.3)]


def test_experts_that_will_see_little_text_are_told_of(checked: Callable[..., list[str]]) -> None:
    few, _ = checked(source="Qwen/Qwen3-30B-A3B", samples=1)
    assert few.startswith("each of 128 experts will see about 32 calibration tokens")
    assert len(checked(source="Qwen/Qwen3-30B-A3B", samples=64)) == 1


@pytest.mark.parametrize(
    ("said", "refused"), [("echo 4096; echo 2048", True), ("echo 81559", False), ("exit 9", False)]
)
def test_a_gpu_that_is_too_small_is_found_out_at_once(
    said: str, refused: bool, checked: Callable[..., list[str]], driver_says: Callable[[str], None]
) -> None:
    driver_says(said)
    if refused:
        with pytest.raises(
            EnvironmentFailure, match=r"takes about \d\.\d GiB of a GPU, and the largest here has 4.0"
        ):
            checked()
    else:
        assert checked()[-1].endswith(" min on an H100")


def test_an_artifact_that_the_gate_could_not_serve_is_refused_before_it_is_made(
    checked: Callable[..., list[str]], driver_says: Callable[[str], None]
) -> None:
    driver_says("echo 15360")
    with pytest.raises(
        EnvironmentFailure,
        match=r"the gate's answers .* take about 1[67]\.\d GiB of a GPU, and the largest here has 15\.0; set gate\.gen",
    ):
        checked(recipe="{precision: bf16}")
    checked(recipe="{precision: bf16}", gate=", generation: null")


@pytest.mark.parametrize(("mib", "kept"), [(24576, False), (8192, True)])
def test_the_host_keeps_what_a_gpu_has_no_room_for(
    mib: int, kept: bool, checked: Callable[..., list[str]], driver_says: Callable[[str], None]
) -> None:
    driver_says(f"echo {mib}")
    said = checked(recipe="{precision: awq-w4a16}", tokens=2048)[-1]
    assert kept == said.endswith(" on an H100, with its samples in the host's memory")
    assert ("5.0" if kept else "10.5") + " GiB of a GPU" in said
