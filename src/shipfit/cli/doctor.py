"""``shipfit doctor``: whether this machine, or a cluster, has what shipfit needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, emit

if TYPE_CHECKING:
    from shipfit.core.machine import Check


def doctor(
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Check a Kubernetes cluster instead of this machine.")
    ] = False,
    context: Annotated[
        str | None, typer.Option(help="A context of the kubeconfig; left out, the current one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, the folders and the environments; exit code 3 where something needed is missing.

    Example: shipfit doctor --cluster
    """
    if cluster or context:
        from dataclasses import asdict

        from shipfit.serve.cluster.check import check_cluster

        checks = check_cluster(context)
        emit({"checks": [asdict(each) for each in checks]}, as_json=as_json, render=_render_checks)
    else:
        checks = _machine(as_json=as_json)
    _require(checks)


def _machine(*, as_json: bool) -> list[Check]:
    from dataclasses import asdict

    from shipfit.core import paths
    from shipfit.core.machine import Check, check_machine
    from shipfit.environments import ENVIRONMENT_PYTHON, declarations, find_python, is_built

    python = find_python()
    found = python or f"no Python {ENVIRONMENT_PYTHON}"
    advice = "" if python else "uv fetches it on first use where it may; else install it"
    checks = [*check_machine(), Check("engines' Python", found, python is not None, advice, required=False)]
    facts = {
        "checks": [asdict(check) for check in checks],
        "folders": {
            "cache": str(paths.cache_dir()),
            "state": str(paths.state_dir()),
            "data": str(paths.data_dir()),
            "config": str(paths.config_dir()),
        },
        "environments": {name: is_built(name) for name in declarations()},
    }
    emit(facts, as_json=as_json, render=_render)
    return checks


def _require(checks: list[Check]) -> None:
    from shipfit.core.errors import EnvironmentFailure

    missing = [check for check in checks if check.required and not check.ok]
    if missing:
        raise EnvironmentFailure(f"{missing[0].name}: {missing[0].found}", hint=missing[0].advice)


def _render_checks(facts: dict[str, Any]) -> None:
    for check in facts["checks"]:
        mark = "ok " if check["ok"] else "NO " if check["required"] else "-- "
        typer.echo(f"{mark} {check['name']:16} {check['found']}")
        if check["advice"]:
            typer.echo(f"{'':20} {check['advice']}")


def _render(facts: dict[str, Any]) -> None:
    _render_checks(facts)
    for name, path in facts["folders"].items():
        typer.echo(f"    {name:16} {path}")
    built = [name for name, there in facts["environments"].items() if there]
    waiting = [name for name, there in facts["environments"].items() if not there]
    typer.echo(f"    {'built':16} {', '.join(built) or 'no environment yet'}")
    typer.echo(f"    {'on first use':16} {', '.join(waiting) or 'nothing more'}")
