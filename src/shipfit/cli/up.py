"""``shipfit up``: serve a deployment on this machine."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import typer

from shipfit.cli.context import AsJson, DeploymentFile, emit, progress


def up(
    file: DeploymentFile,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay and show the logs; Ctrl-C stops the deployment.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a deployment on this machine: replicas and a router, restarted when they die.

    Returns when the address answers. What runs already, and the same, is left as it is.

    Example: shipfit up deploy/demo/gemma-3-270m.yaml
    """
    from shipfit.core.errors import InputError
    from shipfit.serve.follow import follow_logs
    from shipfit.serve.local import down, up
    from shipfit.spec import Deployment, load

    deployment = load(file, Deployment)
    if deployment.cluster:
        raise InputError(
            f"goes to namespace {deployment.cluster.namespace} of a cluster",
            hint=f"run `shipfit deploy {file}`",
            where=str(file),
        )
    running = up(deployment, progress(), attached=follow)
    facts = {
        "name": running.name,
        "base_url": running.base_url,
        "model": running.model_name,
        "replicas": running.replicas,
        "env": f'eval "$(shipfit env {file})"',
    }
    emit(facts, as_json=as_json, render=_render)
    if follow:
        try:
            with suppress(KeyboardInterrupt):  # the way to end it
                follow_logs(running.name)
        finally:
            down(running.name, progress())


def _render(facts: dict[str, Any]) -> None:
    typer.echo(f"{facts['name']} answers at {facts['base_url']} ({facts['replicas']} replicas)")
    typer.echo(f"for OpenAI clients in this shell: {facts['env']}")
