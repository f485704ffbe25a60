"""``shipfit down``: stop what ``shipfit up`` started, or remove what ``shipfit deploy`` brought."""

from __future__ import annotations

from shipfit.cli.context import DeploymentFile, Yes, confirm, progress


def down(file: DeploymentFile, yes: Yes = False) -> None:
    """Stop a deployment on this machine, or remove it from its cluster; requests in flight are finished first.

    On this machine a second Ctrl-C does not wait for them. In a cluster it asks first.

    Example: shipfit down deploy/demo/gemma-3-270m.yaml
    """
    from shipfit.spec import Deployment, load

    deployment = load(file, Deployment)
    if deployment.cluster:
        from shipfit.serve.cluster.deploy import take_down

        confirm(f"remove {deployment.name} from namespace {deployment.cluster.namespace}?", yes=yes)
        if not take_down(deployment, progress()):
            progress().note(f"{deployment.name} is not deployed in namespace {deployment.cluster.namespace}")
        return
    from shipfit.serve.local import down

    down(deployment.name, progress())
