"""``shipfit promote``: try a new version on a share of the requests, and then roll it out or take it away."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, DeploymentFile, Timeout, Yes, confirm, emit, flag, progress

if TYPE_CHECKING:
    from shipfit.serve.cluster.canary.promotion import Outcome, Promotion

_UNITS = {"s": 1, "m": 60, "h": 3600}


def promote(
    file: DeploymentFile,
    canary: Annotated[
        str, typer.Option("--canary", metavar="PERCENT", help="Its share of the requests, such as 10%.")
    ],
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="Watch it for so long, such as 90s, 10m or 1h.")
    ] = "10m",
    requests: Annotated[
        int | None,
        typer.Option(min=1, help="Requests that are enough to judge it; left out, 50, and the whole time."),
    ] = None,
    yes: Yes = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Give a deployment's new version a share of the requests, and all of them where it keeps its SLO.

    Its failures and times to tokens are measured where it serves. Where it fails more than its SLO allows, or than the
    version beside it, or is too slow, or was asked too little to say, it is taken away again: exit code 1.

    Example: shipfit promote deploy/production/llama-3.3-70b.yaml --canary 10% --for 30m
    """
    from shipfit.serve.cluster.canary.promotion import promote as do_promote
    from shipfit.serve.cluster.canary.promotion import propose_promotion
    from shipfit.serve.cluster.canary.watching import Window
    from shipfit.spec import Deployment, load

    percent, seconds = _percent(canary), _seconds(duration)
    promotion = propose_promotion(load(file, Deployment), percent, progress())
    facts = _facts(promotion)
    if not as_json:
        _render(facts)
    proposal = promotion.canary
    if proposal is None or proposal.objections:
        if as_json:
            emit(facts, as_json=True, render=_render)
        if proposal:
            proposal.require()
        return
    confirm("try this?", yes=yes)
    outcome = do_promote(promotion, proposal, Window(seconds, requests), progress(), timeout)
    emit(facts | _outcome(outcome), as_json=as_json, render=_render_done)
    outcome.require()


def _percent(text: str) -> int:
    from shipfit.core.errors import InputError

    match = re.fullmatch(r"([0-9]{1,2})%?", text.strip())
    with flag("--canary"):
        if match is None or match[1].strip("0") == "":
            raise InputError(f"is {text}, not a whole percentage below 100", hint="write 10%, for a tenth")
    return int(match[1])


def _seconds(text: str) -> float:
    from shipfit.core.errors import InputError

    match = re.fullmatch(r"([1-9][0-9]*)([smh])", text.strip())
    with flag("--for"):
        if match is None:
            raise InputError(f"is {text}, not a time", hint="write 90s, 10m or 1h")
    return float(int(match[1]) * _UNITS[match[2]])


def _facts(promotion: Promotion) -> dict[str, Any]:
    from shipfit.cli.deploy import change_lines

    whole, canary = promotion.whole, promotion.canary
    return {
        "release": whole.target.release,
        "namespace": whole.target.cluster.namespace,
        "weights": whole.weights,
        "serving": whole.current.serving.number if whole.current.serving else None,
        "canary": canary.values["models"]["main"]["canary"] if canary else None,
        "changes": change_lines(canary.changes) if canary else [],
        "pods": canary.pods if canary else [],
        "left_out": promotion.left_out,
        "objections": [each.facts() for each in canary.objections] if canary else [],
        "env": f'eval "$(shipfit env {whole.target.spec})"',
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "observation": asdict(outcome.observation),
        "revision": outcome.serves,
        "answers": outcome.answers,
    }


def _render(facts: dict[str, Any]) -> None:
    canary = facts["canary"]
    if canary is None:
        typer.echo(f"{facts['release']}: nothing is new, revision {facts['serving']} serves it already")
        return
    typer.echo(
        f"{facts['release']} in namespace {facts['namespace']}: {canary['percent']}% of the requests go to"
        f" {facts['weights']}, {canary['replicas']} replicas beside revision {facts['serving']}"
    )
    for line in facts["changes"]:
        typer.echo(line)
    for line in facts["pods"]:
        typer.echo(f"* {line}")
    if facts["left_out"]:
        typer.echo(f"not tried, and changed with the whole rollout: {', '.join(facts['left_out'])}")
    for each in facts["objections"]:
        typer.echo(f"NO {each['what']}; {each['advice']}")


def _render_done(facts: dict[str, Any]) -> None:
    observation = facts["observation"]
    typer.echo(f"watched for {observation['seconds']:.0f} s")
    for line in observation["verdict"]["figures"]:
        typer.echo(f"* {line}")
    if facts["answers"]:
        typer.echo(f"revision {facts['revision']} of {facts['release']} answers: {facts['answers']}")
        typer.echo(f"for OpenAI clients in this shell: {facts['env']}")
