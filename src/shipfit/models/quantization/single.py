"""The methods that store every converted module in one way, but for exceptions.

Keys: huggingface/transformers (src/transformers/utils/quantization_config.py), ModelCloud/GPTQModel (README, dynamic
quantization), intel/auto-round (docs/step_by_step.md); in vLLM: vllm/model_executor/layers/quantization.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from reprlib import repr as shown
from typing import Any

from shipfit.models.quantization.kinds import (
    FP8,
    FP8_CHANNEL,
    INT8_ROWS,
    MXFP4,
    MXFP8,
    NF4,
    NVFP4,
    Kind,
    fp8_block,
    integers,
    summary,
)
from shipfit.models.quantization.patterns import Patterns
from shipfit.models.quantization.section import Layout, Module, Reading, Section


def read_fp8(section: Section) -> Reading:
    """``fp8``: a scale a matrix, or a block of ``weight_block_size``; ``fbgemm_fp8``: one a row.

    Experts may be stored in fewer bits than the rest (``moe_quant_algo``).
    """
    if section.values.get("weight_block_size") is not None:
        kind = fp8_block(*section.block("weight_block_size"))
    else:
        kind = FP8_CHANNEL if section.method() == "fbgemm_fp8" else FP8
    experts = _experts_of_fp8(section) or kind
    left = section.names("ignored_layers", "modules_to_not_convert")
    return Reading(
        summary(section.method(), {kind, experts}), _but(section, kind, left, experts=experts), left
    )


def _experts_of_fp8(section: Section) -> Kind | None:
    match section.values.get("moe_quant_algo"):
        case None:
            return None
        case "NVFP4":
            return NVFP4
        case "MXFP4":
            return MXFP4
        case other:
            raise section.wrong("moe_quant_algo", f"is {shown(other)}, not NVFP4 or MXFP4")


def read_mxfp8(section: Section) -> Reading:
    """``mxfp8``: all modules but the ignored."""
    left = section.names("ignored_layers", "modules_to_not_convert")
    return Reading(summary("mxfp8", {MXFP8}), _but(section, MXFP8, left), left)


def read_mxfp4(section: Section) -> Reading:
    """``mxfp4`` (gpt-oss): experts alone."""

    def layout(module: Module) -> Kind | None:
        return MXFP4 if module.expert else None

    return Reading(summary("mxfp4", {MXFP4}), layout, section.names("modules_to_not_convert"))


def read_awq(section: Section) -> Reading:
    """``awq``: a zero point a group, unless ``zero_point`` is false."""
    bits = _bits(section, "w_bit", "bits")
    group = section.integer("q_group_size", "group_size", default=128)
    kind = integers(bits, group or -1, zeros=section.flag("zero_point", True))
    left = section.names("modules_to_not_convert")
    return Reading(summary("awq", {kind}), _but(section, kind, left), left)


def read_gptq(section: Section) -> Reading:
    """``gptq``: one way for all, and ``dynamic`` rules for some (``-:`` leaves out, ``+:`` overrides)."""
    usual = _gptq_kind(section)
    head = section.flag("lm_head", False)
    rules: list[tuple[re.Pattern[str], Kind | None]] = []
    for rule, values in section.mapping("dynamic").items():
        part = section.part(f"dynamic.{rule}", values or {})
        kind = None if rule.startswith("-:") else _gptq_kind(part, section)
        rules.append((_expression(section, "dynamic", rule.removeprefix("-:").removeprefix("+:")), kind))

    def layout(module: Module) -> Kind | None:
        for expression, kind in rules:
            if expression.match(module.name):
                return kind if module.usual or head else None
        return usual if module.usual or (head and module.name.endswith("lm_head")) else None

    kinds = {usual, *(kind for _, kind in rules if kind)}
    return Reading(summary("gptq", kinds), layout)


def _gptq_kind(section: Section, base: Section | None = None) -> Kind:
    """How ``bits``, ``group_size``, ``sym`` and ``desc_act`` store a matrix; a rule's own come before the base's."""
    merged = Section({**(base.values if base else {}), **section.values}, section.source, section.path)
    group = merged.integer("group_size", default=128) or -1
    order = merged.flag("desc_act", False) and group > 0
    return integers(_bits(merged, "bits"), group, zeros=not merged.flag("sym", True), act_order=order)


def read_auto_round(section: Section) -> Reading:
    """``auto-round``: one way for all, and ``extra_config`` for the modules that it names or matches."""
    usual = _auto_round_kind(section.values, section)
    blocks = section.values.get("block_name_to_quantize") or []
    inside = blocks.split(",") if isinstance(blocks, str) else section.names("block_name_to_quantize")
    named: dict[str, Kind | None] = {}
    matched: list[tuple[re.Pattern[str], Kind | None]] = []
    for name, values in section.mapping("extra_config").items():
        own = section.part(f"extra_config.{name}", values).values
        kind = _auto_round_kind({**section.values, **own}, section)
        if re.search(r"[*+?^$()\[\]{}|\\]", name):
            matched.append((_expression(section, "extra_config", name), kind))
        else:
            named[name] = kind

    def layout(module: Module) -> Kind | None:
        own = named.get(module.name, ...)
        if own is ...:
            found = (kind for expression, kind in matched if expression.search(module.name))
            own = next(found, ...)
        if own is not ...:
            return own
        converted = any(module.name.startswith(block.strip()) for block in inside) if inside else True
        return usual if module.usual and converted else None

    kinds = {kind for kind in (usual, *named.values(), *(kind for _, kind in matched)) if kind}
    if not kinds:
        raise section.wrong("bits", "leaves no module quantized")
    return Reading(summary("auto-round", kinds), layout, list(named))


def _auto_round_kind(values: Mapping[str, Any], section: Section) -> Kind | None:
    part = Section(values, section.source, section.path)
    bits = part.integer("bits")
    if bits >= 16:
        return None
    data_type = str(values.get("data_type", "int"))
    if "mx_fp" in data_type:
        return {4: MXFP4, 8: MXFP8}.get(bits) or _refused(part, f"is {data_type!r} with {bits} bits")
    if "nv_fp" in data_type:
        return NVFP4
    if data_type in ("fp", "fp8"):
        blocks = isinstance(values.get("group_size"), list)
        return fp8_block(*part.block("group_size")) if blocks else FP8
    if data_type != "int":
        return _refused(part, f"is {data_type!r}, which shipfit does not know")
    group = part.integer("group_size", default=128) or -1
    return integers(_bits(part, "bits"), group, zeros=not part.flag("sym", True))


def _refused(section: Section, what: str) -> Kind:
    raise section.wrong("data_type", what)


def read_bitsandbytes(section: Section) -> Reading:
    """``bitsandbytes``: 4 bits (NF4 or FP4) or 8, all modules but the skipped."""
    eight = section.flag("load_in_8bit", False)
    if not eight and not section.flag("load_in_4bit", True):
        raise section.wrong("load_in_4bit", "is false, and so is load_in_8bit")
    kind = INT8_ROWS if eight else NF4
    left = section.names("llm_int8_skip_modules")
    return Reading(summary("bitsandbytes", {kind}), _but(section, kind, left), left)


def _but(section: Section, kind: Kind, left: list[str], *, experts: Kind | None = None) -> Layout:
    """Every module that schemes convert, but those named."""
    excluded = Patterns(left, section.source, section.path)

    def layout(module: Module) -> Kind | None:
        if not module.usual or module.name in excluded:
            return None
        return experts if experts and module.expert else kind

    return layout


def _bits(section: Section, *keys: str) -> int:
    bits = section.integer(*keys)
    if bits not in (2, 3, 4, 8):
        raise section.wrong(keys[-1], f"is {bits}, not one of 2, 3, 4, 8")
    return bits


def _expression(section: Section, key: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise section.wrong(key, f"has {text!r}, which is no regular expression: {error}") from None
