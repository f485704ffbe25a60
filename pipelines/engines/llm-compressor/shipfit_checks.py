"""What is wrong with a model before its quantization, and what went wrong in it without a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from compressed_tensors.offload import disable_onloading
from compressed_tensors.quantization import QuantizationScheme, QuantizationStrategy
from compressed_tensors.utils import match_named_modules

GROUP_SIZES = (128, 64, 32)
"""Sizes of a group that recipes may choose."""

Fault = dict[str, str]
"""``kind``, ``layer``, ``detail``."""


class GroupSizeError(Exception):
    """A layer's inputs cannot be divided into the scheme's groups."""

    def __init__(self, message: str, *, field: str, hint: str) -> None:
        super().__init__(message)
        self.field, self.hint = field, hint


class IgnoreError(Exception):
    """The recipe ignores a layer that the model does not have, or all that it has."""

    field = "recipe.ignore"
    hint = "name layers as the model does, and leave some to be quantized; a pattern begins with re:"


class NotFiniteError(Exception):
    """The source holds weights that are no numbers."""

    field = "source"
    hint = "fetch or train it again"


def check_source(
    model: torch.nn.Module, layers: dict[str, torch.nn.Module], scheme: QuantizationScheme, ignore: list[str]
) -> None:
    """Refuse what cannot become right.

    Args:
        model: the source.
        layers: those to be quantized, by name.
        scheme: how.
        ignore: the recipe's.

    Raises:
        GroupSizeError: a layer's inputs are no multiple of the group.
        IgnoreError: a name in ``ignore`` is none of the model's, or no layer is left.
        NotFiniteError: a weight is NaN or infinite.
    """
    for entry in ignore:
        if not entry.startswith("re:") and next(match_named_modules(model, [entry]), None) is None:
            raise IgnoreError(f"the model has no layer {entry}")
    if not layers:
        raise IgnoreError("no linear layer is left to be quantized")
    check_groups({name: layer.in_features for name, layer in layers.items()}, scheme)
    for name in not_finite(model.named_parameters()):
        raise NotFiniteError(f"{name} holds NaN or infinite values")


def check_groups(widths: dict[str, int], scheme: QuantizationScheme) -> None:
    """Refuse layers whose inputs the scheme's groups do not divide.

    Args:
        widths: inputs of each layer to be quantized, by name.
        scheme: how.

    Raises:
        GroupSizeError: names one such layer, its width, and what to do.
    """
    weights = scheme.weights
    if weights is None or weights.strategy not in (
        QuantizationStrategy.GROUP,
        QuantizationStrategy.TENSOR_GROUP,
    ):
        return
    size = weights.group_size
    odd = {name: width for name, width in widths.items() if width % size}
    if not odd:
        return
    name, width = next(iter(odd.items()))
    others = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
    what = f"{name} has {width} inputs, which groups of {size} do not divide{others}"
    if size not in GROUP_SIZES:
        hint = "put such layers into recipe.ignore, or choose another precision"
        raise GroupSizeError(what, field="recipe.precision", hint=hint)
    fitting = [size for size in GROUP_SIZES if not any(width % size for width in widths.values())]
    choices = ", ".join(map(str, [*fitting, -1]))
    raise GroupSizeError(what, field="recipe.group_size", hint=f"these divide all layers: {choices}")


def find_faults(
    model: torch.nn.Module, layers: dict[str, torch.nn.Module], ignore: list[str]
) -> Iterator[Fault]:
    """What the engine did without saying so, after it: layers left out or quantized against the recipe, NaN, Inf."""
    # In the host's memory: looked at on the GPU, all weights would be there together.
    with disable_onloading():
        for name, module in model.named_modules():
            quantized = getattr(getattr(module, "quantization_scheme", None), "weights", None) is not None
            if quantized and name not in layers:
                yield _fault("unexpected", name, "quantized, though the recipe does not ask for it")
            elif not quantized and name in layers:
                yield _fault("left-out", name, "not quantized")
        ignored = {name for name, _ in match_named_modules(model, ignore)} if ignore else set()
        for name, parameter in model.named_parameters():
            owner = name.rpartition(".")[0]
            if parameter.dim() > 2 and owner not in ignored and not _convolves(model.get_submodule(owner)):
                shape = tuple(parameter.shape)
                yield _fault("left-out", name, f"{shape}: no linear layer, so it stays as it is")
        for name in not_finite(model.named_parameters()):
            yield _fault("not-finite", name, "holds NaN or infinite values")


def not_finite(tensors: Iterable[tuple[str, torch.Tensor]]) -> Iterator[str]:
    """Names of the tensors that hold NaN or infinite values."""
    for name, tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            wide = tensor.float() if tensor.element_size() == 1 else tensor  # 8-bit floats have no comparison
            if not all(extreme.isfinite() for extreme in torch.aminmax(wide.detach())):
                yield name


def _convolves(module: Any) -> bool:
    return isinstance(module, torch.nn.modules.conv._ConvNd)  # noqa: SLF001 - its kinds' only common class


def _fault(kind: str, layer: str, detail: str) -> Fault:
    return {"kind": kind, "layer": layer, "detail": detail}
