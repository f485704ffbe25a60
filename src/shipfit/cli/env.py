"""``shipfit env``: what OpenAI clients need, for a shell."""

from __future__ import annotations

import shlex

import typer

from shipfit.cli.context import DeploymentFile


def env(file: DeploymentFile) -> None:
    """Print the variables that OpenAI clients read, for the shell to evaluate.

    Example: eval "$(shipfit env deploy/demo/gemma-3-270m.yaml)"
    """
    from shipfit.core.errors import EnvironmentFailure
    from shipfit.serve.local import running
    from shipfit.spec import Deployment, load

    deployment = load(file, Deployment)
    found = running(deployment.name)
    if found is None:
        raise EnvironmentFailure(f"{deployment.name} does not run", hint=f"start it with `shipfit up {file}`")
    variables = {"OPENAI_BASE_URL": found.base_url, "OPENAI_API_KEY": found.api_key}
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
