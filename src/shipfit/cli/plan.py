"""``shipfit plan``: what a deployment would be served on, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.cli.context import AsJson, DeploymentFile, emit, flag

if TYPE_CHECKING:
    from shipfit.sizing import Plan
    from shipfit.spec import Deployment, PriceList


def plan(
    file: DeploymentFile,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the memory of one GPU as a bar, term by term.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write the same as a page with a picture.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="A PriceList; the plan is then the cheapest that holds the promise.")
    ] = None,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Plan for the free GPUs of the deployment's cluster, or of kubectl's current one.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Plan a deployment: precision, GPUs, replicas, memory and speed, and every rejected option with its reason.

    Exit code 1 where nothing at hand holds the promise.

    Example: shipfit plan deploy/production/llama-3.3-70b.yaml --explain
    """
    from shipfit.spec import Deployment, PriceList, load

    deployment = load(file, Deployment)
    made = _plan(deployment, load(prices, PriceList) if prices else None, cluster=cluster)
    if html:
        from shipfit.cli.plan_page import write_page

        with flag("--html"):
            write_page(html, made)

    def render(facts: dict[str, Any]) -> None:
        from shipfit.cli.plan_text import print_explained, print_plan

        print_plan(facts)
        if explain:
            print_explained(facts)

    emit(made.model_dump(mode="json"), as_json=as_json, render=render)


def _plan(deployment: Deployment, prices: PriceList | None, *, cluster: bool) -> Plan:
    from shipfit.serve.planning import plan_deployment, plan_in_cluster

    if not cluster:
        return plan_deployment(deployment, prices=prices)
    from shipfit.serve.cluster.gpus import free_gpus
    from shipfit.serve.cluster.kubectl import Kubectl

    context = deployment.cluster.context if deployment.cluster else None
    return plan_in_cluster(deployment, free_gpus(Kubectl(context)), prices)
