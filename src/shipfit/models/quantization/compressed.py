"""``compressed-tensors``: groups of modules, each with the arguments that its weights and activations have.

Keys: vllm-project/compressed-tensors (src/compressed_tensors/quantization/quant_args.py, quant_scheme.py); which
of their combinations the engine serves: vllm/model_executor/layers/quantization/compressed_tensors.
"""

from __future__ import annotations

from shipfit.models.quantization.kinds import (
    FP8,
    FP8_CHANNEL,
    INT8_CHANNEL,
    MXFP4,
    MXFP8,
    NVFP4,
    Kind,
    fp8_block,
    integers,
    summary,
)
from shipfit.models.quantization.patterns import Patterns
from shipfit.models.quantization.section import Module, Reading, Section


def read_compressed_tensors(section: Section) -> Reading:
    """What a ``quantization_config`` of this method says.

    Raises:
        InputError: there is no group, or its arguments are no known combination.
    """
    ignored = Patterns(section.names("ignore"), section.source, f"{section.path}.ignore")
    by_name: list[tuple[Patterns, Kind]] = []
    usual: Kind | None = None
    names = [*section.names("ignore")]
    for key, values in section.mapping("config_groups").items():
        group = section.part(f"config_groups.{key}", values)
        targets = group.names("targets")
        if all(target.endswith("Attention") for target in targets):
            continue  # says how queries are stored for an 8-bit KV cache; no weight
        kind = _kind(group)
        paths = [target for target in targets if "." in target or target.startswith("re:")]
        if paths:
            by_name.append((Patterns(paths, section.source, f"{group.path}.targets"), kind))
            names += paths
        if len(paths) < len(targets):  # a class, such as Linear
            usual = kind
    kinds = [kind for _, kind in by_name] + ([usual] if usual else [])
    if not kinds:
        raise section.wrong("config_groups", "says for no module how it is stored")

    def layout(module: Module) -> Kind | None:
        if module.name in ignored:
            return None
        for targets, kind in by_name:
            if module.name in targets:
                return kind
        return usual if module.usual else None

    cache = section.mapping("kv_cache_scheme")
    stored = "fp8" if cache.get("num_bits") == 8 and cache.get("type") == "float" else None
    return Reading(summary("compressed-tensors", kinds, stored), layout, names)


def _kind(group: Section) -> Kind:
    """How a group stores its weights."""
    weights = group.part("weights", group.mapping("weights"))
    bits = weights.integer("num_bits", default=8)
    size = weights.integer("group_size", default=-1) or -1
    activations = group.mapping("input_activations")
    strategy = weights.values.get("strategy") or ("group" if size > 0 else "tensor")
    match (weights.values.get("type", "int"), bits, strategy):
        case ("float", 8, "tensor"):
            return FP8
        case ("float", 8, "channel"):
            return FP8_CHANNEL
        case ("float", 8, "block"):
            return fp8_block(*weights.block("block_structure"))
        case ("float", 8, "group") if size == 32:
            return MXFP8
        case ("float", 4, "tensor_group" | "group") if size == 16:
            return NVFP4
        case ("float", 4, "group") if size == 32:
            return MXFP4
        case ("int", 8, "tensor" | "channel") if activations:
            return INT8_CHANNEL
        case ("int", 2 | 3 | 4 | 8, "channel" | "group" | "tensor"):
            order = weights.values.get("actorder") in ("group", "dynamic", True)
            asymmetric = not weights.flag("symmetric", True)
            kind = integers(bits, size, zeros=asymmetric, act_order=order)
            return Kind(kind.format, None) if activations else kind
    described = f"{weights.values.get('type', 'int')} of {bits} bits by {strategy}"
    raise weights.wrong(None, f"stores weights as {described}, which shipfit does not know")
