"""``shipfit down``: stop what ``shipfit up`` started."""

from __future__ import annotations

from shipfit.cli.context import DeploymentFile, progress


def down(file: DeploymentFile) -> None:
    """Stop a deployment on this machine; requests in flight are finished first (a second Ctrl-C does not wait).

    Example: shipfit down deploy/demo/gemma-3-270m.yaml
    """
    from shipfit.serve.local import down
    from shipfit.spec import Deployment, load

    down(load(file, Deployment).name, progress())
