"""``shipfit rollback``: go back to an earlier revision in the cluster."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shipfit.cli.context import AsJson, DeploymentFile, Timeout, Yes, confirm, emit, progress


def rollback(
    file: DeploymentFile,
    to: Annotated[
        int | None, typer.Option(min=1, help="A revision; left out, the one that served before this one.")
    ] = None,
    yes: Yes = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Go back to an earlier revision of a deployment in its cluster: its artifact, plan and values.

    Example: shipfit rollback deploy/production/llama-3.3-70b.yaml --to 3
    """
    from shipfit.cli.deploy import change_lines
    from shipfit.serve.cluster.rollback import propose_return, roll_back
    from shipfit.spec import Deployment, load

    proposal = propose_return(load(file, Deployment), to)
    facts: dict[str, Any] = {
        "release": proposal.target.release,
        "to": proposal.to,
        "weights": (proposal.values.get("record") or {}).get("weights", "unknown weights"),
        "changes": change_lines(proposal.changes),
        "pods": proposal.pods,
    }
    if not as_json:
        _render(facts)
    confirm("go back?", yes=yes)
    facts["revision"] = roll_back(proposal, progress(), timeout)
    emit(facts, as_json=as_json, render=_render_done)


def _render(facts: dict[str, Any]) -> None:
    typer.echo(f"{facts['release']} goes back to revision {facts['to']}: {facts['weights']}")
    for line in facts["changes"]:
        typer.echo(line)
    for line in facts["pods"]:
        typer.echo(f"* {line}")


def _render_done(facts: dict[str, Any]) -> None:
    typer.echo(f"revision {facts['revision']} serves what revision {facts['to']} did")
