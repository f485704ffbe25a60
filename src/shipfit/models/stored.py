"""What a checkpoint's headers say, put on the weights that the facts know of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from shipfit.models.facts import ModelFacts, Split, Weight
from shipfit.models.names import LAYER, inner_name
from shipfit.models.safetensors import Tensor

_NUMBER = re.compile(r"\.\d+(?=\.|$)")
_PART = re.compile(r"(?<=_proj)_(?=(?:blocks|scales|bias)$)")
"""Where a name of gpt-oss's experts goes on to say which part of them a tensor is."""
_WIDE = ("F64", "F32", "BF16", "F16")
_NOT_LOADED = re.compile(
    r"(?:^|\.)(?:mtp|nextn)\b"  # layers that predict further tokens
    r"|rotary_emb\.inv_freq$|\.masked_bias$"  # worked out anew
    r"|(?:^|\.)[qkv]{1,2}_scale$|\.prob_output_scale$|_proj\.output_scale$"  # one number each, for an 8-bit KV cache
)
"""Tensors that checkpoints store and engines do not load, or that count for nothing."""


def with_stored(facts: ModelFacts, tensors: Mapping[str, Tensor]) -> ModelFacts:
    """The facts with each weight's bytes as the checkpoint stores them.

    What no weight's name fits becomes one more weight, ``other``, on every GPU in full, as many of it as tensors;
    weights that no tensor was found for are taken to be among these.

    Args:
        facts: the model.
        tensors: of all files, by name.
    """
    owners = _owners(facts)
    found: dict[int, float] = {}
    unknown, unknown_tensors = 0.0, 0
    for name, tensor in tensors.items():
        if _left_out(facts, name):
            continue
        layer, module = _parted(name)
        members = [
            (number, weight)
            for number, weight in owners.get(_nearest(module, owners), ())
            if layer is None or layer in weight.layers
        ]
        if not members:
            unknown += _served(tensor, 2)
            unknown_tensors += 1
            continue
        whole = sum(_in_one_layer(weight) for _, weight in members)
        for number, weight in members:
            size = tensor.bytes if weight.format else _served(tensor, weight.wide_bytes)
            found[number] = found.get(number, 0) + size * _in_one_layer(weight) / whole
    weights = tuple(
        replace(weight, stored=round(found[number])) if number in found else weight
        for number, weight in enumerate(facts.weights)
    )
    unknown -= sum(_derived(weight) for weight in weights if weight.stored is None)
    if unknown > 0 and unknown_tensors:
        other = Weight("other", 0, 0, Split.NONE, each=unknown_tensors, stored=round(unknown))
        weights = (*weights, other)
    return replace(facts, weights=weights)


def _owners(facts: ModelFacts) -> dict[str, list[tuple[int, Weight]]]:
    """Which weights a module's tensors belong to: several where the checkpoint holds them as one."""
    owners: dict[str, list[tuple[int, Weight]]] = {}
    for number, weight in enumerate(facts.weights):
        for module in dict.fromkeys(weight.modules):
            key = module if weight.layers else f"/{_NUMBER.sub('.*', inner_name(module))}"
            owners.setdefault(key, []).append((number, weight))
    return owners


def _parted(name: str) -> tuple[int | None, str]:
    """A tensor's layer, if it is in one, and its name there; numbers become stars."""
    match = LAYER.match(name)
    if match and match["rest"]:
        return int(match["layer"]), _NUMBER.sub(".*", _PART.sub(".", match["rest"]))
    return None, f"/{_NUMBER.sub('.*', inner_name(name))}"


def _nearest(name: str, owners: Mapping[str, object]) -> str:
    """The innermost module that a tensor is in, or its biases; empty where it is in none."""
    bias = name.endswith(".bias")
    while name:
        if bias and f"{name}.bias" in owners:
            return f"{name}.bias"
        if name in owners:
            return name
        name = name.rpartition(".")[0]
    return name


def _left_out(facts: ModelFacts, name: str) -> bool:
    if _NOT_LOADED.search(name):
        return True
    match = LAYER.match(name)
    if match and match["layer"].isdigit() and int(match["layer"]) >= facts.layers:
        return True  # predicts further tokens
    return facts.tied and inner_name(name).startswith("lm_head.")


def _served(tensor: Tensor, wide_bytes: int) -> int:
    """Bytes of a tensor as it is served: floating-point numbers in the weight's own width, others as they are."""
    return tensor.elements * wide_bytes if tensor.dtype in _WIDE else tensor.bytes


def _in_one_layer(weight: Weight) -> int:
    return weight.rows * weight.columns * weight.each


def _derived(weight: Weight) -> float:
    """Bytes of a weight by its shape and format."""
    if weight.format:
        return weight.format.matrix_bytes(weight.rows, weight.columns) * weight.count
    return weight.parameters * weight.wide_bytes
