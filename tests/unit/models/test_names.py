from __future__ import annotations

import pytest

from shipfit.models.names import LAYER, inner_name, layers_path


@pytest.mark.parametrize(
    ("names", "path"),
    [
        ([], "model.layers."),
        (["lm_head", "mtp.layers.0.mlp", "model.visual.blocks.3"], "model.layers."),
        (["lm_head", "model.language_model.layers.7.mlp*"], "model.language_model.layers."),
        (["language_model.model.layers.*.self_attn"], "language_model.model.layers."),
        (["backbone.layers.4.mixer.in_proj"], "backbone.layers."),
        ([r"re:.*router", r"re:model\.language_model\.layers\.3\..*"], "model.language_model.layers."),
    ],
)
def test_a_configuration_shows_how_its_checkpoint_calls_the_layers(names: list[str], path: str) -> None:
    assert path == layers_path(names)


@pytest.mark.parametrize(
    ("name", "layer", "rest"),
    [
        ("model.layers.12.mlp.up_proj.weight", "12", "mlp.up_proj.weight"),
        ("transformer.h.0.attn.weight", "0", "attn.weight"),
        ("gpt_neox.layers.3.attention.dense.bias", "3", "attention.dense.bias"),
    ],
)
def test_a_name_is_inside_of_a_layer(name: str, layer: str, rest: str) -> None:
    match = LAYER.match(name)
    assert match is not None
    assert (layer, rest) == (match["layer"], match["rest"])


@pytest.mark.parametrize(
    "name", ["vision_tower.layers.0.mlp", "mtp.layers.0.mlp", "visual.blocks.0.attn", "lm_head"]
)
def test_towers_and_predicted_tokens_are_not(name: str) -> None:
    assert LAYER.match(name) is None


def test_outside_of_the_layers_only_the_inner_name_counts() -> None:
    names = [
        "model.norm.weight",
        "language_model.model.norm.weight",
        "norm.weight",
        "model.language_model.norm.weight",
    ]
    assert {"norm.weight"} == {inner_name(name) for name in names}
