"""Quantizes a model with GPTQModel. shipfit runs it with this engine's own Python (``shipfit.core.launcher``).

Request: ``source`` and ``output`` (folders), ``documents``, ``samples``, ``tokens``, ``seed``, ``batch``
(samples in one pass through a layer), ``recipe`` (``group_size``, ``symmetric``, ``act_order``, ``ignore``). Result:
``versions``, ``samples``, ``tokens``, ``layers``, ``faults``.
"""

from __future__ import annotations

import os

# Before gptqmodel is imported. It wants two workers and on two processors gives itself one, then fails at load.
os.environ["GPTQMODEL_CPU_WORKERS"] = str(max(2, (os.cpu_count() or 1) // 2))
# Packing by torch, not by an extension that is compiled on first use: a minute, and a compiler, for seconds of work.
os.environ["GPTQMODEL_DISABLE_PACK_EXT"] = "1"

import json
import re
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from gptqmodel import GPTQModel
from gptqmodel.quantization import GPTQConfig
from shipfit_packed import Fault, faults, finish, matches
from shipfit_samples import sample_windows
from transformers import AutoConfig, AutoTokenizer

Report = Callable[[str, float | None], None]

# Shares of the whole time, as seen: loading, then the layers, then saving.
LOADED, QUANTIZED = 0.1, 0.95


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Quantize ``request["source"]`` into ``request["output"]``, an existing empty folder."""
    source, output, recipe = Path(request["source"]), Path(request["output"]), request["recipe"]
    torch.manual_seed(request["seed"])
    report("reading the calibration text", 0.0)
    windows = sample_windows(
        AutoTokenizer.from_pretrained(source),
        request["documents"],
        request["samples"],
        request["tokens"],
        request["seed"],
    )
    report("loading the model", 0.05)
    offload = (
        output / "offload"
    )  # finished layers, so that memory holds those at work; gone when all is saved
    dtype = AutoConfig.from_pretrained(source).dtype
    model = GPTQModel.load(str(source), settings(recipe, offload), dtype=dtype or "auto")
    layers = [name for name, module in model.model.named_modules() if isinstance(module, torch.nn.Linear)]
    expected = [layer for layer in layers if not matches(layer, recipe["ignore"])]
    model.layer_callback = Follower(model.model.config.get_text_config().num_hidden_layers, report)
    # Lists, not tensors: anything else is taken for text.
    samples = [{"input_ids": window.ids, "attention_mask": [1] * len(window.ids)} for window in windows]
    log = model.quantize(samples, batch_size=request["batch"])
    report("saving", QUANTIZED)
    model.save(str(output))
    shutil.rmtree(offload, ignore_errors=True)
    quantization = json.loads((output / "quantize_config.json").read_text(encoding="utf-8"))
    del quantization["meta"]["offload_to_disk_path"]  # of this machine
    finish(source, output, quantization)
    return {
        "versions": {name: version(name) for name in ("gptqmodel", "transformers", "torch")},
        "samples": len(samples),
        "tokens": sum(len(window.ids) for window in windows),
        "layers": len(expected),
        "faults": faults(output, expected) + rounded(log, layers),
    }


def settings(recipe: dict[str, Any], offload: Path) -> GPTQConfig:
    """GPTQ with 4-bit integer weights and 16-bit activations."""
    ignored = {f"-:{expression(pattern)}": {} for pattern in recipe["ignore"] if pattern != "lm_head"}
    return GPTQConfig(
        bits=4,
        group_size=recipe["group_size"],
        sym=recipe["symmetric"],
        # Within groups, so that groups and columns stay in place: vLLM serves no order across them.
        act_group_aware=recipe["act_order"] and recipe["group_size"] > 0,
        desc_act=recipe["act_order"] and recipe["group_size"] == -1,
        lm_head="lm_head" not in recipe["ignore"],
        dynamic=ignored or None,
        offload_to_disk_path=str(offload),
    )


def expression(pattern: str) -> str:
    """A layer's name, or an expression that begins with ``re:``, as this engine takes both."""
    return pattern.removeprefix("re:") if pattern.startswith("re:") else f"^{re.escape(pattern)}$"


def rounded(log: dict[str, list[dict[str, Any]]], layers: Sequence[str]) -> list[Fault]:
    """Layers that were rounded to the nearest after all: too few samples reached them, or GPTQ did not succeed.

    Args:
        log: of the engine, a row a layer; its loss is a number, or says what was done instead.
        layers: full names; a row has the end of one.
    """
    found = []
    for row in (row for rows in log.values() for row in rows if "fallback" in row["loss"]):
        ending = f".{row['layer']}.{row['module']}"
        reached = int(row["samples"])
        found.append(
            {
                "kind": "rounded" if reached else "never-routed",
                "layer": next((layer for layer in layers if layer.endswith(ending)), ending.lstrip(".")),
                "detail": f"rounded to the nearest: {reached} tokens of the calibration reached it",
            }
        )
    return found


class Follower:
    """Told by the engine of each finished layer of the model."""

    def __init__(self, total: int, report: Report) -> None:
        self.total, self.report = total, report

    def layer_complete(self, layer_idx: int, submodule_finalized: bool) -> None:
        """Report it."""
        if submodule_finalized:
            done = layer_idx + 1
            self.report(f"layer {done} of {self.total}", LOADED + (QUANTIZED - LOADED) * done / self.total)
