"""``shipfit env``: what OpenAI clients need, for a shell."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from shipfit.cli.context import DeploymentFile

if TYPE_CHECKING:
    from shipfit.spec import Deployment


def env(file: DeploymentFile) -> None:
    """Print the variables that OpenAI clients read, for the shell to evaluate.

    Of a deployment in a cluster that has no address of its own, a port on loopback is forwarded until `down`.

    Example: eval "$(shipfit env deploy/demo/gemma-3-270m.yaml)"
    """
    from shipfit.spec import Deployment, load

    deployment = load(file, Deployment)
    url, key = _in_cluster(deployment) if deployment.cluster else _on_machine(deployment)
    variables = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": key}
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _in_cluster(deployment: Deployment) -> tuple[str, str]:
    from shipfit.serve.cluster.address import address
    from shipfit.serve.cluster.target import target_of

    found = address(target_of(deployment))
    return found.url, found.key or "none"  # clients refuse to start without any


def _on_machine(deployment: Deployment) -> tuple[str, str]:
    from shipfit.core.errors import EnvironmentFailure
    from shipfit.serve.local import running

    found = running(deployment.name)
    if found is None:
        raise EnvironmentFailure(
            f"{deployment.name} does not run", hint=f"start it with `shipfit up {deployment.path}`"
        )
    return found.base_url, found.api_key
