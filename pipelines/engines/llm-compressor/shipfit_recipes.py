"""What llm-compressor is told for each precision: its own modifiers, with the settings of a recipe."""

from __future__ import annotations

from typing import Any

import torch
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationScheme,
    QuantizationStrategy,
    preset_name_to_scheme,
)
from compressed_tensors.quantization.utils import is_module_quantized
from llmcompressor.core import Event, State
from llmcompressor.modifiers import Modifier
from llmcompressor.modifiers.gptq import GPTQModifier as EngineGPTQModifier
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.quantization.calibration import update_qparams
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

TARGETS = ["Linear"]
"""What is quantized: every linear layer that the recipe does not ignore."""

_LEAST_ERROR = {"observer": "memoryless_mse", "observer_kwargs": {"grid": 20}}
"""Scales by least squared error, four candidates each: with GPTQ a fifth less divergence than from the extremes alone
(bundled model, 32 x 256 tokens: mean KL 0.165 against 0.206 nats), for seconds."""

_SANDWICH_NORM = "pre_feedforward_layernorm"
"""Where a model has it, ``post_attention_layernorm`` is no norm before the MLP but one after the attention."""

_SANDWICH_SMOOTHING = [
    (["re:.*q_proj$", "re:.*k_proj$", "re:.*v_proj$"], "re:.*input_layernorm$"),
    (["re:.*gate_proj$", "re:.*up_proj$"], f"re:.*{_SANDWICH_NORM}$"),
]
"""Layers that share an input, and the norm before them. Those that the engine has for Gemma 2 and 3 take the norm after
the attention for the one before the MLP, and change what the model computes; its own AWQ has these."""


class GPTQModifier(EngineGPTQModifier):
    """GPTQ, that rounds a layer to nearest which no calibration token reached.

    The engine would leave the scales of such a layer as they were allocated, or set its weights to zero.
    """

    def calibrate_module(
        self, module: torch.nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        """Count an input, unless it is empty."""
        if args[0].numel():
            super().calibrate_module(module, args, output)

    def on_sequential_epoch_end(
        self, state: State, event: Event, modules: list[torch.nn.Module], **kwargs: Any
    ) -> None:
        """Quantize the layers of a block."""
        unreached = [one for one in modules if is_module_quantized(one) and one not in self._num_samples]
        super().on_sequential_epoch_end(state, event, modules, **kwargs)
        update_qparams(unreached, "weight")


def make_modifiers(recipe: dict[str, Any], model: torch.nn.Module, *, offload: bool) -> list[Modifier]:
    """The engine's modifiers for a recipe, in the order in which they are applied.

    Args:
        recipe: settled.
        model: that they are for.
        offload: whether AWQ keeps its samples on the host: the same weights, later.
    """
    scheme, ignore = make_scheme(recipe), recipe["ignore"]
    modifiers: list[Modifier] = []
    if recipe["precision"] == "awq-w4a16":
        where = {"offload_device": torch.device("cpu")} if offload else {}  # else as it sees fit
        modifiers.append(AWQModifier(duo_scaling="both", **where))
    if recipe.get("smoothing"):
        sandwich = any(name.endswith(_SANDWICH_NORM) for name, _ in model.named_modules())
        modifiers.append(
            SmoothQuantModifier(
                smoothing_strength=recipe["smoothing"], mappings=_SANDWICH_SMOOTHING if sandwich else None
            )
        )
    groups = {"group_0": scheme}
    if recipe["precision"] == "gptq-w4a16" or recipe.get("rounding") == "gptq":
        order = "static" if recipe.get("act_order", True) else None
        modifiers.append(GPTQModifier(config_groups=groups, ignore=ignore, actorder=order))
    else:
        modifiers.append(QuantizationModifier(config_groups=groups, ignore=ignore))
    return modifiers


def make_scheme(recipe: dict[str, Any]) -> QuantizationScheme:
    """How weights and activations are stored: the engine's own scheme where it has one for the precision."""
    match recipe["precision"]:
        case "gptq-w4a16" | "awq-w4a16":
            return QuantizationScheme(targets=TARGETS, weights=_integers(4, recipe))
        case "int8-w8a16":
            return QuantizationScheme(targets=TARGETS, weights=_integers(8, recipe))
        case "fp8-w8a8":
            return preset_name_to_scheme(
                "FP8" if recipe["activation_scales"] == "static" else "FP8_DYNAMIC", TARGETS
            )
    names = {"int8-w8a8": "W8A8", "fp8-block": "FP8_BLOCK", "nvfp4": "NVFP4", "mxfp4": "MXFP4"}
    return preset_name_to_scheme(names[recipe["precision"]], TARGETS)


def _integers(bits: int, recipe: dict[str, Any]) -> QuantizationArgs:
    grouped = recipe["group_size"] > 0
    return QuantizationArgs(
        num_bits=bits,
        type="int",
        symmetric=recipe["symmetric"],
        strategy=QuantizationStrategy.GROUP if grouped else QuantizationStrategy.CHANNEL,
        group_size=recipe["group_size"] if grouped else None,
        **_LEAST_ERROR,
    )
