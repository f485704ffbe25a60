"""``shipfit status``: what runs of a deployment on this machine."""

from __future__ import annotations

import time
from typing import Any

from shipfit.cli.context import AsJson, DeploymentFile, emit
from shipfit.core.units import GIB


def status(file: DeploymentFile, as_json: AsJson = False) -> None:
    """Show the replicas and the router of a deployment: state, process, restarts, memory, log.

    Example: shipfit status deploy/demo/gemma-3-270m.yaml
    """
    from pydantic import TypeAdapter

    from shipfit.serve.local import Status, status
    from shipfit.spec import Deployment, load

    facts = TypeAdapter(Status).dump_python(status(load(file, Deployment).name), mode="json")
    emit(facts, as_json=as_json, render=_render)


def _render(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    address = f" at {facts['address']}" if facts["address"] else ""
    console.print(f"[bold]{facts['name']}[/bold]: {facts['state']}{address}")
    if facts["note"]:
        console.print(facts["note"], markup=False)
    if not facts["processes"]:
        return
    table = Table("process", "state", "since", "pid", "restarts", "memory", "address", box=None)
    for each in facts["processes"]:
        table.add_row(
            each["name"],
            f"{each['state']}: {each['note']}" if each["note"] else each["state"],
            _age(each["since"]),
            str(each["pid"] or "-"),
            str(each["restarts"]),
            f"{each['resident_bytes'] / GIB:.2f} GiB",
            each["address"].rpartition("/")[2],
        )
    console.print(table)
    console.print(f"logs: {facts['logs']}", markup=False, soft_wrap=True)


def _age(since: float) -> str:
    seconds = max(0, int(time.time() - since))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
