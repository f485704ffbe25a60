"""What ``shipfit artifacts`` prints for people."""

from __future__ import annotations

from typing import Any

import typer


def print_list(facts: dict[str, Any]) -> None:
    """A line for each artifact."""
    if not facts["artifacts"]:
        typer.echo(f"{facts['store']} holds no artifacts; `shipfit quantize PIPELINE` publishes one")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("NAME", "FINGERPRINT", "CHANNELS", "PRECISION", "MIB", "CREATED", box=None, pad_edge=False)
    for row in facts["artifacts"]:
        mib = f"{row['bytes'] / 2**20:,.1f}"
        channels = ", ".join(row["channels"]) or "-"
        table.add_row(
            row["name"], row["fingerprint"][:12], channels, row["precision"] or "-", mib, row["created_at"]
        )
    Console(highlight=False).print(table)


def print_manifest(facts: dict[str, Any]) -> None:
    """The whole manifest."""
    import yaml

    typer.echo(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=110).rstrip())


def print_checked(facts: dict[str, Any]) -> None:
    """That every digest is as it should be."""
    typer.echo(
        f"{facts['name']} ({facts['fingerprint'][:12]}): {facts['files']} files, {facts['bytes'] / 2**20:,.1f} MiB,"
        " every digest as in the manifest"
    )


def print_signed(facts: dict[str, Any]) -> None:
    """Who signed it."""
    signers = ", ".join(each["signer"] for each in facts["signatures"])
    typer.echo(f"{_short(facts)} is signed by {signers}")


def print_moved(facts: dict[str, Any]) -> None:
    """Where a channel points now."""
    typer.echo(f"{facts['name']}@{facts['channel']} is {facts['fingerprint'][:12]}")


def print_history(facts: dict[str, Any]) -> None:
    """Every move of a channel."""
    from rich.console import Console
    from rich.table import Table

    table = Table("AT", "CHANNEL", "ACTION", "FINGERPRINT", "BY", box=None, pad_edge=False)
    for move in facts["moves"]:
        table.add_row(
            move["at"], move["channel"], move["action"], move["fingerprint"][:12], move["by"] or "-"
        )
    Console(highlight=False).print(table)


def print_policy(facts: dict[str, Any]) -> None:
    """The rules of a name."""
    if facts["policy"] is None:
        typer.echo(f"no policy is set for {facts['name']}: its gate alone decides")
        return
    print_manifest(facts["policy"])


def print_pinned(facts: dict[str, Any]) -> None:
    """What is pinned."""
    typer.echo(f"{_short(facts)} is pinned: {facts['reason']}")


def print_unpinned(facts: dict[str, Any]) -> None:
    """What is pinned no more."""
    typer.echo(f"{_short(facts)} is not pinned any more")


def print_collected(facts: dict[str, Any]) -> None:
    """What went, and why the rest stays."""
    from rich.console import Console
    from rich.table import Table

    table = Table("NAME", "FINGERPRINT", "MIB", "", "WHY", box=None, pad_edge=False)
    goes = "would go" if facts["dry_run"] else "removed"
    for row in facts["artifacts"]:
        state = goes if row["goes"] else "stays"
        mib = f"{row['size'] / 2**20:,.1f}"
        table.add_row(row["name"], row["fingerprint"][:12], mib, state, "; ".join(row["why"]))
    console = Console(highlight=False, markup=False)
    console.print(table)
    freed = sum(row["size"] for row in facts["artifacts"] if row["goes"])
    console.print(f"{freed / 2**20:,.1f} MiB {goes}")


def _short(facts: dict[str, Any]) -> str:
    return f"{facts['name']} ({facts['fingerprint'][:12]})"
