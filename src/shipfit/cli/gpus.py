"""``shipfit gpus``: the catalogue of GPUs, or all that is known of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, emit

if TYPE_CHECKING:
    from shipfit.hardware import Gpu

_LEFT_OUT = {"vendor", "cpu", "anonymous", "part_of"}


def gpus(
    name: Annotated[
        str | None,
        typer.Argument(help="A GPU, to see all that is known of it: a name, a node label, or a MIG profile."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the GPUs that shipfit knows, the user's own among them (gpus.yaml in the configuration folder).

    Example: shipfit gpus H100
    """
    from shipfit.hardware import gpu as one
    from shipfit.hardware import gpus as known

    if name is not None:
        emit(_facts(one(name)), as_json=as_json, render=_render_one)
    else:
        emit({"gpus": [_facts(each) for each in known()]}, as_json=as_json, render=_render)


def _facts(gpu: Gpu) -> dict[str, Any]:
    facts = gpu.model_dump(mode="json", exclude=_LEFT_OUT)
    profiles = {name: gpu.partition(name) for name in gpu.mig}
    facts["mig"] = {
        name: {
            "memory_gib": round(part.memory_gib, 2),
            "bandwidth_gb_s": round(part.bandwidth_gb_s),
            "tflops": {number: round(rate, 1) for number, rate in part.tflops.items()},
            "resource": part.resource,
            "label": part.label,
        }
        for name, part in profiles.items()
    }
    return {**facts, "platform": gpu.platform, "memory_gib": round(gpu.memory_gib, 2)}


def _render(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "GiB", "GB/s", "16-bit", "FP8", "INT8", "FP4", "capability", "link", box=None)
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
            f"{gpu['capability']:.1f}" if gpu["capability"] else "-",
            f"{gpu['link']['kind']} {gpu['link']['gb_s']:,.0f}" if gpu["link"] else "-",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "GiB are usable, ~ estimated; throughput is dense, in TFLOP/s (TOPS for integers); links in GB/s, both ways. "
        "`shipfit gpus NAME` shows the sources, --json all of them.",
        soft_wrap=True,
    )
    console.print("And cpu: this machine's processor, probed on first use.")


def _render_one(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    usable = facts["usable_source"] or "estimated from the label"
    link = facts["link"]
    rates = ", ".join(f"{name} {rate:,.4g}" for name, rate in facts["tflops"].items())
    for row in (
        ("name", facts["name"], ", ".join(facts["aliases"])),
        ("label", facts["label"] or "-", "of a node, by GPU feature discovery or the vendor's own"),
        ("resource", facts["resource"], "in a pod's limits"),
        ("memory", f"{facts['memory_gib']:.2f} GiB of {facts['memory_gb']:g} GB", usable),
        ("error correction", facts["ecc"] or "-", _ECC.get(facts["ecc"] or "", "not known")),
        ("bandwidth", f"{facts['bandwidth_gb_s']:,.0f} GB/s", facts["source"]),
        ("compute", f"{rates} TFLOP/s", facts["source"]),
        ("capability", str(facts["capability"] or "-"), facts["platform"]),
        ("link", f"{link['kind']} {link['gb_s']:,.4g} GB/s" if link else "-", "of one GPU, both directions"),
        ("node", str(facts["node"]), "GPUs of a usual machine"),
    ):
        table.add_row(*row)
    for name, part in facts["mig"].items():
        rates = part["tflops"]
        rate = rates.get("bf16") or rates["fp16"]
        text = f"{part['memory_gib']:.2f} GiB, {part['bandwidth_gb_s']:,} GB/s, {rate:,.0f} TFLOP/s"
        table.add_row(f"MIG {name}", text, part["resource"])
    Console(highlight=False).print(table)


_ECC = {
    "free": "takes no memory",
    "taken": "on by default, a sixteenth of the memory, already left out",
    "extra": "off by default; switched on, it takes a sixteenth of the memory",
}
