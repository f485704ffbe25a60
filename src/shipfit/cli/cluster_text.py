"""How ``shipfit status`` shows a release in a cluster."""

from __future__ import annotations

from typing import Any


def print_release(facts: dict[str, Any]) -> None:
    """Print the status of a release for a person."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    record, revisions = facts["record"], facts["revisions"]
    if not revisions:
        console.print(f"[bold]{facts['release']}[/bold]: not deployed in namespace {facts['namespace']}")
        return
    latest = revisions[-1]
    where = f" at {facts['address']}" if facts["address"] else ""
    console.print(f"[bold]{facts['release']}[/bold]: revision {latest['number']} {latest['status']}{where}")
    console.print(f"{record.get('weights', 'weights unknown')}: {_gate(record)}", markup=False)
    console.print(_plan(record.get("plan") or {}), markup=False)
    if canary := record.get("canary"):
        console.print(
            f"canary, {canary['percent']}% of the requests: {canary['weights']}: {_gate(canary)}",
            markup=False,
        )
    table = Table(box=None)
    for head in ("pod", "state", "node", "restarts", "memory (plan)", "requests", "KV cache"):
        table.add_column(head, overflow="fold")
    for each in facts["pods"]:
        table.add_row(
            each["name"],
            each["state"],
            each["node"] or "-",
            str(each["restarts"]),
            _memory(each, (record.get("plan") or {}).get("memory") or {}),
            _requests(each["traffic"]),
            f"{each['traffic']['kv_cache_used']:.0%}" if "kv_cache_used" in each["traffic"] else "-",
        )
    console.print(table)
    for title, lines in (("what holds it up", facts["causes"]), ("drift", facts["drift"])):
        for line in lines:
            console.print(f"{title}: {line}", markup=False, soft_wrap=True)


def _gate(record: dict[str, Any]) -> str:
    figures = ((record.get("artifact") or {}).get("gate")) or {}
    return (
        "gate: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        if figures
        else "no gate"
    )


def _plan(plan: dict[str, Any]) -> str:
    if not plan:
        return "no plan"
    gpus = "processor cores" if plan["gpu"] == "cpu" else f"{plan['gpus']} x {plan['gpu']}"
    return f"{plan['precision']} on {gpus} a replica, {plan['context']:,} tokens a request"


def _memory(pod: dict[str, Any], plan: dict[str, Any]) -> str:
    """Weights and KV cache as the replica's log says them, beside the plan's."""
    figures = pod["figures"]
    if not figures:
        return "-"
    pairs = [
        f"{name} {figures[field]:.2f} ({plan.get(field, 0):.2f})"
        for name, field in (("weights", "weights_gib"), ("KV", "kv_cache_gib"))
        if figures[field] is not None
    ]
    return " ".join(pairs) + " GiB" if pairs else "-"


def _requests(traffic: dict[str, float]) -> str:
    if "running" not in traffic:
        return "-"
    return f"{traffic['running']:.0f} running, {traffic.get('waiting', 0):.0f} waiting"
