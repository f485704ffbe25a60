"""``shipfit plan``: what a deployment would be served on, and why."""

from __future__ import annotations

from typing import Any

from shipfit.cli.context import AsJson, DeploymentFile, emit


def plan(file: DeploymentFile, as_json: AsJson = False) -> None:
    """Plan a deployment: precision, GPUs, replicas, memory and speed, and every rejected option with its reason.

    Exit code 1 where nothing at hand holds the promise.

    Example: shipfit plan deploy/production/llama-3.3-70b.yaml
    """
    from shipfit.serve.planning import plan_deployment
    from shipfit.spec.deployment import Deployment
    from shipfit.spec.load import load

    emit(plan_deployment(load(file, Deployment)).model_dump(mode="json"), as_json=as_json, render=_render)


def _render(plan: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(
        f"[bold]{plan['name']}[/bold]: {plan['model']} in [bold]{plan['precision']}[/bold] on {_hardware(plan)}",
        soft_wrap=True,
    )
    for reason in plan["reasons"]:
        console.print(f"  {reason}", markup=False, soft_wrap=True)
    memory = plan["memory"]
    table = Table("memory of each GPU" if plan["gpu"] != "cpu" else "memory of each replica", "GiB", box=None)
    table.columns[1].justify = "right"
    for key, label in _PARTS.items():
        table.add_row(label, f"{memory[key]:.2f}")
    console.print(table)
    console.print(
        f"KV cache: {memory['kv_cache_tokens']:,} tokens, {memory['max_concurrency']:.1f} requests of "
        f"{plan['max_model_len']:,} tokens at once in each replica",
        soft_wrap=True,
    )
    if speed := plan["speed"]:
        console.print(
            f"speed of the workload, on average: first token {speed['ttft_ms']:,.0f} ms, then "
            f"{speed['tpot_ms']:.1f} ms a token; {speed['output_tokens_per_s']:,.1f} output tokens/s",
            soft_wrap=True,
        )
    _render_rejected(console, plan["rejected"])


_PARTS = {
    "weights_gib": "weights",
    "activation_gib": "activations",
    "cuda_graph_gib": "CUDA graphs",
    "non_torch_gib": "outside of PyTorch",
    "kv_cache_gib": "KV cache",
}


def _hardware(plan: dict[str, Any]) -> str:
    replicas = plan["replicas"]
    number = plan["cores"] if plan["gpu"] == "cpu" else plan["tensor_parallel"]
    what = (
        f"{'core' if number == 1 else 'cores'} of this machine"
        if plan["gpu"] == "cpu"
        else f"x {plan['gpu']}"
    )
    return f"{number} {what}" if replicas == 1 else f"{replicas} replicas of {number} {what}"


def _render_rejected(console: Any, rejected: list[dict[str, str]]) -> None:
    from rich.table import Table

    if not rejected:
        return
    table = Table("rejected", "because", box=None)
    table.columns[0].no_wrap = True
    for each in rejected:
        table.add_row(each["option"], each["reason"])
    console.print(table, markup=False)
