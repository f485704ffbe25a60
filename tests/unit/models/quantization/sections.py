"""Checkpoints that say how they are quantized, and what is read of them."""

from __future__ import annotations

from typing import Any

from shipfit.models import Format, ModelFacts, Quantization
from shipfit.models.architectures import read_config
from tests.unit.tiny_llama import CONFIG

LLAMA = CONFIG | {"num_hidden_layers": 4, "hidden_size": 256, "intermediate_size": 512}
MIXTURE = LLAMA | {
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "decoder_sparse_step": 1,
    "head_dim": 64,
}
FP8 = Format(8, scale_bytes=4)
FP8_CHANNEL = Format(8, group=-1, scale_bytes=4)
FP8_BLOCK = Format(8, group=128, scale_bytes=4, block_rows=128)
INT4 = Format(4, group=128, scale_bytes=2)
NVFP4 = Format(4, group=16, scale_bytes=1)
MXFP4 = Format(4, group=32, scale_bytes=1)
MXFP8 = Format(8, group=32, scale_bytes=1)
MATRICES = (
    "attention.query",
    "attention.key_value",
    "attention.output",
    "feed_forward.gate_up",
    "feed_forward.down",
)


def facts_of(quantization: Any, base: dict[str, Any] = LLAMA) -> ModelFacts:
    return read_config(base | {"quantization_config": quantization}, "x", "config.json")


def formats(facts: ModelFacts) -> dict[str, dict[Format | None, int]]:
    """Of each kind of weight, how many layers (1 outside of them) have which format."""
    found: dict[str, dict[Format | None, int]] = {}
    for weight in facts.weights:
        if weight.columns > 1:
            kinds = found.setdefault(weight.name, {})
            kinds[weight.format] = kinds.get(weight.format, 0) + (len(weight.layers) or 1)
    return found


def compressed(
    weights: dict[str, Any], activations: dict[str, Any] | None = None, **others: Any
) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    } | others


EIGHT = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}
INT8 = {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}


def assert_every_matrix(section: dict[str, Any], format_: Format, quantization: Quantization) -> None:
    """A section says one thing of all matrices, and leaves embeddings and the head alone."""
    facts = facts_of(section)
    assert quantization == facts.quantization
    expected = {name: {format_: 4} for name in MATRICES} | {name: {None: 1} for name in ("embedding", "head")}
    assert expected == formats(facts)
