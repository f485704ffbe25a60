from __future__ import annotations

import pytest

from tests.unit.models.quantization.sections import EIGHT, FP8, compressed, facts_of, formats


def test_an_unquantized_checkpoint_has_no_formats() -> None:
    facts = facts_of(None)
    assert facts.quantization is None
    assert {None} == {weight.format for weight in facts.weights}


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["model.layers.1.mlp.down_proj"], 1),
        (["re:.*layers\\.[02]\\..*down_proj"], 2),
        (["re:.*mlp.*"], 4),
        (["re:(?i).*MLP.*", "re:(?i).*vision.*"], 4),
        (["model.layers.3"], 1),
        (["mlp.down_proj"], 4),
        (["*.down_proj"], 4),
        (["model.layers.*.mlp"], 4),
        (["model.layers.1*"], 1),
        (["model.language_model.layers.0.mlp.down_proj", "model.language_model.layers.2.mlp*"], 2),
        (["model.layers.0.mlp.down_pro", "own_proj", "layers.0.mlp.up_proj", "mtp*", "re:mtp.*"], 0),
    ],
)
def test_modules_that_are_left_out_keep_their_16_bits(ignore: list[str], left: int) -> None:
    expected = {None: left} if left else {}
    for section in (
        compressed({"num_bits": 8, "type": "float", "strategy": "tensor"}, EIGHT, ignore=ignore),
        {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ignore},
        {"quant_method": "fp8", "modules_to_not_convert": ignore},
        {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_skip_modules": ignore},
        {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ignore},
    ):
        facts = facts_of(section)
        found = formats(facts)["feed_forward.down"]
        assert expected == {kind: count for kind, count in found.items() if kind is None}
        assert facts.parameters == facts_of(None).parameters
        layers = [
            layer for weight in facts.weights if weight.name == "feed_forward.down" for layer in weight.layers
        ]
        assert [0, 1, 2, 3] == sorted(layers)


def test_some_matrices_of_a_kind_may_be_left_out() -> None:
    section = {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn.k_proj"]}
    parts = [weight for weight in facts_of(section).weights if weight.name == "attention.key_value"]
    assert [
        (None, (0,), 1, ("self_attn.k_proj",)),
        (FP8, (0,), 1, ("self_attn.v_proj",)),
        (FP8, (1, 2, 3), 2, ("self_attn.k_proj", "self_attn.v_proj")),
    ] == [(part.format, part.layers, part.each, part.modules) for part in parts]
