"""``shipfit deploy``: take a deployment to its Kubernetes cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, DeploymentFile, Timeout, Yes, confirm, emit, progress

if TYPE_CHECKING:
    from shipfit.serve.cluster.changes import Change
    from shipfit.serve.cluster.propose import Proposal


def deploy(
    file: DeploymentFile,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would change, and what stands against it.")
    ] = False,
    manifests: Annotated[
        bool, typer.Option("--manifests", help="Print the rendered objects as YAML, and change nothing.")
    ] = False,
    yes: Yes = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Install or upgrade a deployment in the cluster that it names, and watch until it answers.

    Where the rollout fails, what served before serves again. Exit code 1 where the release is to blame or the cluster
    has not enough, 3 where the surroundings are.

    Example: shipfit deploy deploy/production/llama-3.3-70b.yaml --dry-run
    """
    from shipfit.serve.cluster.deploy import prove, roll_out
    from shipfit.serve.cluster.propose import propose
    from shipfit.spec import Deployment, load

    proposal = propose(load(file, Deployment), progress())
    if manifests:
        sys.stdout.write(proposal.manifest)
        proposal.require()
        return
    facts = _facts(proposal)
    if not as_json:
        _render(facts)
    if dry_run or proposal.unchanged or proposal.objections:
        if as_json:
            emit(facts, as_json=True, render=_render)
        proposal.require()
        return
    confirm("deploy this?", yes=yes)
    facts["revision"] = roll_out(proposal, progress(), timeout)
    facts["answers"] = prove(proposal, progress())
    emit(facts, as_json=as_json, render=_render_done)


def change_lines(changes: list[Change]) -> list[str]:
    """Changes as a person reads them: a line an object, and one for each field."""
    marks = {"add": "+", "change": "~", "remove": "-"}
    return [
        line
        for each in changes
        for line in (
            f"{marks[each.action]} {each.kind} {each.name}",
            *(f"    {field}" for field in each.fields),
        )
    ]


def _facts(proposal: Proposal) -> dict[str, Any]:
    target = proposal.target
    serving = proposal.current.serving
    return {
        "release": target.release,
        "namespace": target.cluster.namespace,
        "weights": proposal.weights,
        "plan": proposal.values["record"]["plan"],
        "serving": serving.number if serving else None,
        "unchanged": proposal.unchanged,
        "changes": change_lines(proposal.changes),
        "pods": proposal.pods,
        "objections": [each.facts() for each in proposal.objections],
        "env": f'eval "$(shipfit env {target.spec})"',
    }


def _render(facts: dict[str, Any]) -> None:
    plan = facts["plan"]
    gpus = f"{plan['gpus']} x {plan['gpu']}" if plan["gpu"] != "cpu" else "cores"
    typer.echo(
        f"{facts['release']} in namespace {facts['namespace']}: {facts['weights']}, {plan['precision']}"
    )
    typer.echo(f"{plan['replicas']} replicas on {gpus} each, {plan['context']:,} tokens a request")
    if facts["unchanged"]:
        typer.echo(f"nothing changes: revision {facts['serving']} is that already")
    for line in facts["changes"]:
        typer.echo(line)
    for line in facts["pods"]:
        typer.echo(f"* {line}")
    for each in facts["objections"]:
        typer.echo(f"NO {each['what']}; {each['advice']}")


def _render_done(facts: dict[str, Any]) -> None:
    typer.echo(f"revision {facts['revision']} of {facts['release']} answers: {facts['answers']}")
    typer.echo(f"for OpenAI clients in this shell: {facts['env']}")
