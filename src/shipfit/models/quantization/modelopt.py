"""ModelOpt: one algorithm for all modules but the excluded, or one for each.

Keys: NVIDIA/TensorRT-Model-Optimizer (modelopt/torch/export), vllm/model_executor/layers/quantization/modelopt.py. Two
spellings are about: that of ``hf_quant_config.json`` (a section ``quantization`` with ``exclude_modules``) and that of
``config.json`` (``ignore``, ``kv_cache_scheme``).
"""

from __future__ import annotations

import re
from reprlib import repr as shown

from shipfit.models.quantization.kinds import (
    FP8,
    FP8_CHANNEL,
    MXFP8,
    NVFP4,
    Kind,
    fp8_block,
    integers,
    summary,
)
from shipfit.models.quantization.patterns import Patterns
from shipfit.models.quantization.section import Layout, Module, Reading, Section

_NUMBER = re.compile(r"\.\d+(?=\.|$)")
_KINDS = {
    "FP8": FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": FP8_CHANNEL,
    "FP8_PB_WO": fp8_block(128, 128),
    "FP8_BLOCK_SCALES": fp8_block(128, 128),
    "NVFP4": NVFP4,
    "W4A16_NVFP4": NVFP4,
    "NVFP4_AWQ": NVFP4,
    "MXFP8": MXFP8,
    "W4A16_AWQ": integers(4, 128),
}


def read_modelopt(section: Section) -> Reading:
    """What ModelOpt's configuration says.

    Raises:
        InputError: an algorithm is not known, or mixed precision does not say which module has which.
    """
    inner = (
        section.part("quantization", section.values["quantization"])
        if "quantization" in section.values
        else section
    )
    ignored = inner.names("exclude_modules", "ignore")
    excluded = Patterns(ignored, section.source, f"{inner.path}.ignore")
    if str(inner.values.get("quant_algo", "")).upper() == "MIXED_PRECISION":
        kinds, layout = _mixed(inner, excluded)
    else:
        kind = algorithm(inner)
        kinds, layout = {kind}, _uniform(kind, excluded)
    named = [*ignored, *_few(inner)]
    return Reading(summary("modelopt", kinds, _kv_cache(inner)), layout, named)


def algorithm(section: Section) -> Kind:
    """How the ``quant_algo`` of a section stores weights."""
    name = str(section.values.get("quant_algo", "")).upper()
    if name not in _KINDS:
        known = ", ".join((*_KINDS, "MIXED_PRECISION"))
        raise section.wrong("quant_algo", f"is {shown(section.values.get('quant_algo'))}, not one of {known}")
    return _KINDS[name]


def _uniform(kind: Kind, excluded: Patterns) -> Layout:
    def layout(module: Module) -> Kind | None:
        return kind if module.usual and module.name not in excluded else None

    return layout


def _mixed(section: Section, excluded: Patterns) -> tuple[set[Kind], Layout]:
    """Each module's own algorithm; a module without one of its own has that of the nearest around it."""
    layers = section.mapping("quantized_layers")
    if not layers:
        raise section.wrong("quantized_layers", "is missing, and MIXED_PRECISION needs it")
    kinds: dict[str, Kind] = {}
    known: dict[str, Kind] = {}
    for name, values in layers.items():
        algo = str(values.get("quant_algo")) if isinstance(values, dict) else ""
        if algo not in known:
            known[algo] = algorithm(section.part(f"quantized_layers.{name}", values))
        kinds[name] = known[algo]

    def layout(module: Module) -> Kind | None:
        name = module.name
        while name:
            for key in (name, _NUMBER.sub(".*", name)):  # this catalogue writes one name for all layers
                if key in kinds:
                    return None if module.name in excluded else kinds[key]
            name = name.rpartition(".")[0]
        return None

    return set(kinds.values()), layout


def _few(section: Section) -> list[str]:
    """A name of each tree that mixed precision lists; all of them would be too many to look through."""
    return list(section.mapping("quantized_layers"))[:1]


def _kv_cache(section: Section) -> str | None:
    scheme = section.values.get("kv_cache_quant_algo") or section.values.get("kv_cache_scheme")
    if isinstance(scheme, dict):
        return "fp8" if scheme.get("num_bits") == 8 else None
    return "fp8" if str(scheme).upper() == "FP8" else None
