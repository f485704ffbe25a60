"""A plan as text, for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Part of the memory, what people call it, its colour and its sign in the bar, for terminals without colours.
_PARTS = (
    ("weights", "weights", "blue", "█"),
    ("activation", "activations", "yellow", "▓"),
    ("cuda_graph", "CUDA graphs", "magenta", "▒"),
    ("non_torch", "outside of PyTorch", "red", "░"),
    ("kv_cache", "KV cache", "green", "▚"),
)
_FREE = ("not taken", "bright_black", "·")
_REJECTED = 30  # lines; what follows is in the JSON and the page
_WIDTH = 100  # of the bar, at most
_SMALLEST_GIB = 0.005


def print_plan(plan: dict[str, Any]) -> None:
    """Print what was chosen, why, what is expected of it, and what was not chosen.

    Args:
        plan: a Plan as JSON.
    """
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]{plan['name']}[/bold]: {plan['model']} in [bold]{plan['precision']}[/bold] on {_hardware(plan)}"
    )
    for reason in plan["reasons"]:
        console.print(f"  {reason}", markup=False)
    _print_memory(console, plan)
    for line in _expectations(plan):
        console.print(line, markup=False)
    _print_rejected(console, plan["rejected"])


def print_explained(plan: dict[str, Any]) -> None:
    """Print the memory of one GPU as a bar, and every part of it with its formula.

    Args:
        plan: a Plan as JSON.
    """
    console = Console(highlight=False)
    memory = plan["memory"]
    parts = [(label, memory[f"{part}_gib"], colour, sign) for part, label, colour, sign in _PARTS]
    whole = memory["usable_gib"] or sum(gib for _, gib, _, _ in parts)
    free = whole - sum(gib for _, gib, _, _ in parts)
    parts.append((_FREE[0], max(free, 0.0), *_FREE[1:]))
    width = min(console.width, _WIDTH)
    where = "this machine for a replica" if plan["gpu"] == "cpu" else f"one {plan['gpu']}"
    console.print(f"\n[bold]{whole:.2f} GiB of {where}[/bold]")
    console.print(_bar([(gib, colour, sign) for _, gib, colour, sign in parts], whole, width))
    for label, gib, colour, sign in parts:
        if gib:
            console.print(
                Text.assemble((f"{sign * 2} ", colour), f"{label:20}{gib:8.2f} GiB {gib / whole:6.1%}")
            )
    console.print()
    _print_terms(console, plan["terms"])


def _print_terms(console: Console, terms: list[dict[str, Any]]) -> None:
    """Every term that is seen in two digits, with its formula; a source is named once for all that follow it."""
    source = ""
    for term in terms:
        if term["gib"] < _SMALLEST_GIB:
            continue
        if term["source"] != source:
            source = term["source"]
            console.print(f"from {source}", style="bright_black", markup=False, soft_wrap=True)
        words = f"{_label(term['part'])}, {term['name']}: {term['formula']}"
        console.print(f"{term['gib']:9.2f} GiB  {words}", markup=False, soft_wrap=True)


def _bar(parts: list[tuple[float, str, str]], whole: float, width: int) -> Text:
    """Segments that add up to the width exactly: each ends where the sum so far does."""
    bar = Text()
    so_far = 0.0
    for gib, colour, sign in parts:
        begin = round(so_far / whole * width)
        so_far += gib
        bar.append(sign * (round(so_far / whole * width) - begin), colour)
    return bar


def _label(part: str) -> str:
    return next(label for name, label, _, _ in _PARTS if name == part)


def _print_memory(console: Console, plan: dict[str, Any]) -> None:
    memory = plan["memory"]
    table = Table("memory of each replica" if plan["gpu"] == "cpu" else "memory of each GPU", "GiB", box=None)
    table.columns[1].justify = "right"
    for part, label, _, _ in _PARTS:
        table.add_row(label, f"{memory[f'{part}_gib']:.2f}")
    console.print(table)
    kv = "" if plan["kv_cache_dtype"] == "auto" else f" in {plan['kv_cache_dtype']}"
    console.print(
        f"KV cache{kv}: {memory['kv_cache_tokens']:,} tokens, {memory['max_concurrency']:.1f} requests of "
        f"{plan['max_model_len']:,} tokens at once in each replica"
    )


def _expectations(plan: dict[str, Any]) -> list[str]:
    """Speed, cost and quality, each in a line where it is known."""
    lines = []
    if speed := plan["speed"]:
        lines.append(
            f"speed of the workload, on average: first token {speed['ttft_ms']:,.0f} ms, then "
            f"{speed['tpot_ms']:.1f} ms a token; {speed['output_tokens_per_s']:,.1f} output tokens/s"
        )
        if speed["max_request_rate"] is not None:
            lines.append(
                f"at most {speed['max_request_rate']:,.2f} such requests a second within the SLO's limits, on average"
            )
    if cost := plan["cost"]:
        line = f"cost: {cost['hour']:,.2f} {cost['currency']} an hour"
        if cost["million_output_tokens"] is not None:
            line += (
                f"; {cost['million_output_tokens']:,.2f} a million output tokens, "
                f"{cost['million_tokens']:,.2f} a million tokens in all"
            )
        lines.append(line)
    if quality := plan["quality"]:
        how = "measured" if quality["measured"] else "expected"
        lines.append(f"{how} loss of quality: {quality['loss']} ({quality['source']})")
    return lines


def _hardware(plan: dict[str, Any]) -> str:
    replicas, one = plan["replicas"], _one(plan)
    return one if replicas == 1 else f"{replicas} replicas of {one}"


def _one(plan: dict[str, Any]) -> str:
    """What one replica has."""
    if plan["gpu"] == "cpu":
        return f"{plan['cores']} core{'s' if plan['cores'] > 1 else ''} of this machine"
    spread = f" on {plan['machines']} machines" if plan["machines"] > 1 else ""
    stages = f" in {plan['pipeline_parallel']} stages{spread}" if plan["pipeline_parallel"] > 1 else ""
    return f"{plan['tensor_parallel'] * plan['pipeline_parallel']} x {plan['gpu']}{stages}"


def _print_rejected(console: Console, rejected: list[dict[str, Any]]) -> None:
    """The rejected options: of the splits on a kind of GPU only the nearest."""
    lines: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for each in rejected:
        lines.setdefault(
            (each["precision"], each["gpu"]) if each["gpu"] else (each["option"], None), []
        ).append(each)
    if not lines:
        return
    shown = list(lines.values())[:_REJECTED]
    width = max(len(each[0]["option"]) for each in shown)
    console.print(f"[bold]{'rejected':{width}}  because[/bold]")
    for first, *others in shown:
        more = f" (and {len(others)} other splits)" if others else ""
        console.print(f"{first['option']:{width}}  {first['reason']}{more}", markup=False)
    if hidden := len(lines) - len(shown):
        console.print(f"and {hidden} more; --json and --html show every one")
