"""Whether an artifact could be served: by the layout that its recipe gives it, not by the usual one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shipfit.environments import Accelerator
from shipfit.models import Format, ModelFacts, load_facts
from shipfit.quantize.engines import Engine, engines
from shipfit.quantize.preflight.serving import (
    artifact_facts,
    layout_of,
    objection_anywhere,
    serving_objection,
)
from shipfit.spec import Pipeline, Precision

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def engine(name: str, precision: str, **settings: Any) -> Engine:
    declared = engines()[name]
    usual = {key: each.default for key, each in declared.precisions[Precision(precision)].settings.items()}
    return Engine(
        name, declared, {"precision": precision, "engine": name, **usual, **settings}, Accelerator.CPU
    )


def objection(made: Engine, gpu: str, facts: ModelFacts | None = None) -> str | None:
    pipeline = Pipeline.model_validate(
        {
            "apiVersion": "shipfit/v1",
            "kind": "Pipeline",
            "name": "x",
            "source": LLAMA,
            "recipe": {"precision": made.recipe["precision"]},
            "gate": {"dataset": ["bundled:alice29"]},
            "serving": {"hardware": {"gpu": gpu}, "promise": {"context": 4096, "concurrency": 1}},
        }
    )
    assert pipeline.serving
    return serving_objection(pipeline, pipeline.serving, made, facts or load_facts(LLAMA))


@pytest.mark.parametrize(
    ("name", "settings", "follows"),
    [
        ("auto-gptq", {"act_order": True, "group_size": 128}, True),
        ("auto-gptq", {"act_order": True, "group_size": -1}, True),
        ("auto-gptq", {}, False),
        ("gptqmodel", {"act_order": True, "group_size": 128}, False),
        ("llm-compressor", {"act_order": True, "group_size": 32}, False),
    ],
)
def test_a_kernel_follows_act_order_only_where_groups_do(
    name: str, settings: dict[str, Any], follows: bool
) -> None:
    made = engine(name, "gptq-w4a16", **settings)
    refused = follows and made.recipe["group_size"] > 0
    assert layout_of(made).act_order is follows
    assert (objection_anywhere(made) is not None) is refused
    for gpu in ("H100", "L4", "MI300X"):
        found = objection(made, gpu)
        assert ("act order with groups of 128 has no kernel" in found if found else False) is refused


def test_groups_and_zero_points_are_the_recipes() -> None:
    usual = engine("llm-compressor", "gptq-w4a16")
    other = engine("llm-compressor", "gptq-w4a16", symmetric=False, group_size=32)
    assert layout_of(usual) == replace(layout_of(other), symmetric=True, group=128)
    assert layout_of(engine("autoawq", "awq-w4a16")).method == "awq"
    facts = load_facts(LLAMA)
    more = total(artifact_facts(facts, other)) - total(artifact_facts(facts, usual))
    inside = sum(each.parameters for each in facts.weights if each.quantized)
    assert more == inside / 32 * 2.5 - inside / 128 * 2  # scales of 16 bits, zero points of 4


def test_scales_of_activations_from_the_calibration_bring_one_scale_for_a_whole_matrix() -> None:
    """llm-compressor's preset; as vLLM loads it, a processor has no operation for that."""
    facts = load_facts(LLAMA)
    for scales, group in (("dynamic", -1), ("static", 0)):
        made = engine("llm-compressor", "fp8-w8a8", activation_scales=scales)
        assert layout_of(made).group == group
        formats = {each.format for each in artifact_facts(facts, made).weights if each.quantized}
        assert formats == {Format(8, group=group, scale_bytes=4)}  # as it is read from the files
        assert objection(made, "H100") is None
    assert "takes a scale a row, and the weights have one scale a matrix" in str(objection(made, "cpu"))


def test_a_layer_that_is_ignored_stays_in_16_bits() -> None:
    facts = load_facts(LLAMA)
    made = engine("llm-compressor", "gptq-w4a16", ignore=["re:.*down_proj"])
    formats = {each.name: each.format for each in artifact_facts(facts, made).weights}
    assert formats["feed_forward.down"] is None
    assert formats["feed_forward.gate_up"] is not None


def test_what_is_a_gguf_or_stays_in_16_bits_has_the_facts_of_its_source() -> None:
    facts = load_facts(LLAMA)
    for made in (engine("llama.cpp", "gguf-q8_0"), engine("passthrough", "bf16")):
        assert artifact_facts(facts, made) is facts
        assert objection_anywhere(made) is None
    assert "llama.cpp's own server" in str(objection(engine("llama.cpp", "gguf-q8_0"), "L4"))


def total(facts: ModelFacts) -> float:
    return sum(
        each.format.matrix_bytes(each.rows, each.columns) * each.count
        for each in facts.weights
        if each.format
    )
