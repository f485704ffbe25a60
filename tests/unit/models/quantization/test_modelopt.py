from __future__ import annotations

import time
from typing import Any

import pytest

from shipfit.models import Format, Quantization
from tests.unit.models.quantization.sections import (
    FP8,
    MIXTURE,
    NVFP4,
    assert_every_matrix,
    facts_of,
    formats,
)


@pytest.mark.parametrize(
    ("section", "format_", "quantization"),
    [
        (
            {"quant_algo": "FP8", "kv_cache_scheme": "FP8", "producer": {"name": "modelopt"}},
            FP8,
            Quantization("modelopt", "fp8-w8a8", kv_cache="fp8"),
        ),
        (
            {
                "quant_method": "modelopt",
                "quant_algo": "NVFP4",
                "kv_cache_scheme": {"num_bits": 8, "type": "float"},
            },
            NVFP4,
            Quantization("modelopt", "nvfp4", group=16, kv_cache="fp8"),
        ),
    ],
)
def test_what_it_says_of_every_matrix(
    section: dict[str, Any], format_: Format, quantization: Quantization
) -> None:
    assert_every_matrix(section, format_, quantization)


def test_mixed_precision_of_modelopt_names_each_module() -> None:
    layers = {
        f"model.layers.{n}.self_attn.{name}_proj": {"quant_algo": "FP8"} for n in (0, 1) for name in "qkvo"
    }
    layers |= {f"model.layers.{n}.mlp.experts": {"quant_algo": "NVFP4", "group_size": 16} for n in range(4)}
    facts = facts_of(
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}, MIXTURE
    )
    assert {FP8: 2, None: 2} == formats(facts)["attention.query"]
    assert {NVFP4: 4} == formats(facts)["experts.down"]
    assert facts.quantization is not None
    assert facts.quantization.precision == "nvfp4"


def test_hundreds_of_names_over_many_layers_are_read_at_once() -> None:
    layers = 94
    names = [
        f"model.layers.{n}.{part}*" for n in range(layers) for part in ("self_attn", "mlp.gate", "mlp.shared")
    ]
    section = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "ignore": ["lm_head", "re:.*vision.*", *names],
    }
    begun = time.process_time()
    facts = facts_of(section, MIXTURE | {"num_hidden_layers": layers})
    assert time.process_time() - begun < 0.25  # 6 ms on a laptop
    assert {NVFP4: layers} == formats(facts)["experts.down"]
    assert {None: layers} == formats(facts)["attention.query"]
