"""Giving each weight the format of its modules; a weight whose layers or modules differ becomes several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shipfit.models.facts import Format, Weight
from shipfit.models.quantization.section import Module, Reading


def assigned(weight: Weight, reading: Reading, path: str) -> Iterator[Weight]:
    """A weight with its format, in as many parts as there are ways that it is stored.

    Args:
        weight: without a format.
        reading: what the checkpoint's configuration says.
        path: what comes before a layer's number in the names of that configuration.
    """
    if weight.columns == 1:
        yield weight
        return
    modules = weight.modules or (weight.name,)
    groups: dict[tuple[Format | None, ...], list[int]] = {}
    for layer in weight.layers or (0,):
        prefix = f"{path}{layer}." if weight.layers else ""
        groups.setdefault(tuple(_format(weight, prefix + each, reading) for each in modules), []).append(
            layer
        )
    for formats, layers in groups.items():
        own = replace(weight, layers=tuple(layers) if weight.layers else ())
        for format_ in dict.fromkeys(formats):
            names = tuple(name for name, each in zip(modules, formats, strict=True) if each is format_)
            yield replace(
                _part(own, len(names), len(modules)), format=format_, modules=names if weight.modules else ()
            )


def _format(weight: Weight, name: str, reading: Reading) -> Format | None:
    """How one module is stored; one expert stands for all."""
    kind = reading.layout(Module(name.replace("*", "0"), weight.quantized, weight.active is not None))
    return kind.format if kind else None


def _part(weight: Weight, some: int, modules: int) -> Weight:
    """So many of a weight's modules: of its matrices where each is a module, of its rows where they lie in one."""
    if some == modules:
        return weight
    if weight.each % modules == 0:
        active = None if weight.active is None else weight.active * some // modules
        return replace(weight, each=weight.each * some // modules, active=active)
    return replace(weight, rows=weight.rows * some // modules)
