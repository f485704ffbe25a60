"""``shipfit gpus``: the catalogue of GPUs."""

from __future__ import annotations

from typing import Any

from shipfit.cli.context import AsJson, emit


def gpus(as_json: AsJson = False) -> None:
    """List the GPUs that shipfit knows, the user's own among them (gpus.yaml in the configuration folder).

    Example: shipfit gpus
    """
    from shipfit.hardware import gpus as known

    facts = [
        {**gpu.model_dump(mode="json", exclude={"cpu"}), "memory_gib": round(gpu.memory_gib, 2)}
        for gpu in known()
    ]
    emit({"gpus": facts}, as_json=as_json, render=_render)


def _render(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "GiB", "GB/s", "16-bit", "FP8", "INT8", "FP4", "CUDA", "link", box=None)
    table.columns[0].no_wrap = True
    for column in table.columns[1:8]:
        column.justify = "right"
    for gpu in facts["gpus"]:
        rates = gpu["tflops"]
        dense = [
            rates.get("bf16") or rates.get("fp16"),
            *(rates.get(name) for name in ("fp8", "int8", "fp4")),
        ]
        measured = "" if gpu["usable_gib"] else "~"
        table.add_row(
            gpu["name"],
            f"{measured}{gpu['memory_gib']:.1f}",
            f"{gpu['bandwidth_gb_s']:,.0f}",
            *(f"{rate:,.0f}" if rate else "-" for rate in dense),
            f"{gpu['capability']:.1f}",
            gpu["link"]["kind"] if gpu["link"] else "-",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "GiB are usable, ~ estimated; throughput is dense, in TFLOP/s (TOPS for integers); CUDA is the compute "
        "capability. --json shows every source.",
        soft_wrap=True,
    )
    console.print("And cpu: this machine's processor, probed on first use.")
