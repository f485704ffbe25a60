"""``shipfit status``: what runs of a deployment, on this machine or in its cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from shipfit.cli.context import AsJson, DeploymentFile, emit
from shipfit.core.units import GIB

if TYPE_CHECKING:
    from shipfit.spec import Deployment


def status(file: DeploymentFile, as_json: AsJson = False) -> None:
    """Show the replicas and the router of a deployment: state, restarts, memory, and where each is.

    In a cluster also: revision, artifact and its gate's figures, traffic, and where spec, release and cluster differ.

    Example: shipfit status deploy/demo/gemma-3-270m.yaml
    """
    from shipfit.spec import Deployment, load

    deployment = load(file, Deployment)
    if deployment.cluster:
        from shipfit.cli.cluster_text import print_release

        emit(_in_cluster(deployment), as_json=as_json, render=print_release)
    else:
        emit(_on_machine(deployment), as_json=as_json, render=_render)


def _in_cluster(deployment: Deployment) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from shipfit.serve.cluster.status import ReleaseStatus, status
    from shipfit.serve.cluster.target import target_of

    found: dict[str, Any] = TypeAdapter(ReleaseStatus).dump_python(status(target_of(deployment)), mode="json")
    return found


def _on_machine(deployment: Deployment) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from shipfit.serve.local import Status, status

    found: dict[str, Any] = TypeAdapter(Status).dump_python(status(deployment.name), mode="json")
    return found


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
